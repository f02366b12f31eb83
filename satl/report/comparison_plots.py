"""The figures that compare methods: gathers what each needs from evaluated runs."""

from collections.abc import Iterator

import pandas as pd

from satl.config import Experiment, Shown
from satl.report.plot_forest import forest_figure
from satl.report.plot_gains import gain_figure
from satl.report.plot_ranks import rank_figure
from satl.report.plot_scores import positive_counts
from satl.report.plotted import Plot, SkippedFigure
from satl.report.ranks import average_ranks
from satl.report.statistics import compared, reference_of, scores_of
from satl.report.style import LineStyles
from satl.runs.evaluated import Run


def comparison_plots(
    experiment: Experiment, name: str, dataset: str, runs: list[Run], styles: LineStyles
) -> Iterator[Plot | SkippedFigure]:
    """The figures that compare the methods of one table.

    Args:
        experiment: the experiment.
        name, dataset: of the table.
        runs: the evaluated runs that the table shows.
        styles: how to draw each method, by name.
    """
    shown = experiment.tables(dataset)[name]
    reference = reference_of(experiment.report.reference, shown.methods)
    yield _forest(name, dataset, runs, shown, reference, styles)
    yield _ranks(name, dataset, runs, shown, styles)
    yield _gains(name, dataset, runs, shown, reference)


def _forest(
    table: str, dataset: str, runs: list[Run], shown: Shown, reference: str, styles: LineStyles
) -> Plot | SkippedFigure:
    name = f"{table}-differences"
    comparisons = compared(scores_of(runs), shown.methods, reference, shown.known)
    if not comparisons.are_claims:
        return SkippedFigure(name, dataset, "intervals take two complete seeds of two methods")
    over = "average mAP" if len(shown.known) > 1 else "mAP"
    title = f"Differences in mAP to {reference} on {dataset}{_labels(shown)}, last epoch"
    return Plot(name, dataset, title, runs, forest_figure(comparisons, over, styles))


def _ranks(
    table: str, dataset: str, runs: list[Run], shown: Shown, styles: LineStyles
) -> Plot | SkippedFigure:
    name = f"{table}-average-ranks"
    ranks = average_ranks(scores_of(runs), shown.methods)
    if ranks is None:
        return SkippedFigure(name, dataset, "ranks take two complete seeds of three methods")
    over = "known ratios and seeds" if shown.setting is None else "seeds"
    title = f"Average ranks on {dataset}{_labels(shown)} over {over}, last epoch"
    return Plot(name, dataset, title, runs, rank_figure(ranks, styles))


def _gains(
    table: str, dataset: str, runs: list[Run], shown: Shown, reference: str
) -> Plot | SkippedFigure:
    name = f"{table}-gains-by-category"
    gains = gains_by_category(runs, reference)
    if gains.empty:
        return SkippedFigure(name, dataset, f"no method has a run that {reference} has as well")
    counts = positive_counts(runs[0].folder.score_histogram())
    of = f"{dataset}{_labels(shown)}"
    title = f"Gain of AP over {reference} on {of} by category, commonest first"
    return Plot(name, dataset, title, runs, gain_figure(gains, counts, reference))


def _labels(shown: Shown) -> str:
    """What titles add to the name of the data set."""
    return f" with {shown.setting} labels" if shown.setting else ""


def gains_by_category(runs: list[Run], reference: str) -> pd.DataFrame:
    """Columns method, category, mean: AP less that of `reference`, in points.

    Each difference is of the same known ratio and seed; their mean is over both.
    """
    table = _ap_of_runs(runs)
    base = table[table["method"] == reference].drop(columns="method")
    both = table[table["method"] != reference].merge(
        base, on=["known_ratio", "seed", "category"], suffixes=("", "_reference")
    )
    both["gain"] = both["AP"] - both["AP_reference"]
    return _over_runs(both, "gain")


def ap_by_category(runs: list[Run]) -> pd.DataFrame:
    """Columns method, category, mean: the AP in per cent, over known ratios and seeds."""
    return _over_runs(_ap_of_runs(runs), "AP")


def _ap_of_runs(runs: list[Run]) -> pd.DataFrame:
    rows = [
        (run.key.method, run.key.known_ratio, run.key.seed, category, ap)
        for run in runs
        for category, ap in run.metrics["per_category_AP"].items()
        if ap is not None
    ]
    return pd.DataFrame(rows, columns=["method", "known_ratio", "seed", "category", "AP"])


def _over_runs(table: pd.DataFrame, column: str) -> pd.DataFrame:
    means = table.groupby(["method", "category"], sort=False)[column].mean()
    return means.rename("mean").reset_index()
