"""All figures of an experiment: gathers what each needs from run folders, draws and saves it."""

import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from satl.config import Experiment, Known, Shown
from satl.core.files import write_json
from satl.report.comparison_plots import comparison_plots
from satl.report.plot_distance_dots import distance_dots
from satl.report.plot_distances import distance_figure
from satl.report.plot_map import map_figure
from satl.report.plot_pseudo import MEASURES, pseudo_label_figure
from satl.report.plot_scores import positive_counts, score_figure
from satl.report.plot_thresholds import threshold_figure
from satl.report.plotted import Plot, SkippedFigure
from satl.report.score_distances import score_distances
from satl.report.style import LineStyles, house_style, line_styles, lowest_middle_highest, save
from satl.report.summary import summary_of
from satl.report.titles import commits, extent, titled
from satl.report.tuned import runs_of_table
from satl.runs.evaluated import Run, has_truth
from satl.runs.fingerprint import name_of
from satl.runs.layout import run_keys

log = logging.getLogger(__name__)

MOST_LINES = 9  # in a panel: beyond, colours alone no longer tell them apart


def write_figures(experiment: Experiment, runs: list[Run], folder: Path) -> list[Path]:
    """Draw all figures of evaluated `runs` into `folder`, as PNG and PDF, and an index.json.

    index.json lists under "figures", for each file, its title and the run folders (relative to
    results/NAME) and config hashes behind it, and under "left_out" the figures that lack their
    data, with the reason, which the log says too. The same run folders give the same bytes.

    Returns:
        The paths of all files written.
    """
    index: dict[str, list[dict]] = {"figures": [], "left_out": []}
    paths = []
    styles = line_styles(list(experiment.methods))
    with house_style():
        for dataset in experiment.datasets:
            of_dataset = [run for run in runs if run.key.dataset == dataset]
            expected = sum(key.dataset == dataset for key in run_keys(experiment))
            there = extent(len(of_dataset), expected)
            for plot in _plots(experiment, dataset, of_dataset, styles):
                if isinstance(plot, SkippedFigure):
                    log.info("%s: left out, as %s", plot.name, plot.reason)
                    index["left_out"].append(asdict(plot))
                    continue
                name = titled(plot.name, there)
                footer = f"{experiment.name} · {name} · commit {commits(plot.runs)}"
                saved = save(plot.figure, folder / plot.name, footer)
                index["figures"] += [_entry(plot, path, there) for path in saved]
                paths += saved
    write_json(folder / "index.json", index)
    return [*paths, folder / "index.json"]


def _plots(
    experiment: Experiment, dataset: str, runs: list[Run], styles: LineStyles
) -> Iterator[Plot | SkippedFigure]:
    """The figures of one data set, one after the other; comparisons as in its tables."""
    if not runs:
        yield SkippedFigure(f"{dataset}-*", dataset, "no run is evaluated")
        return
    for name, table in experiment.tables(dataset).items():
        shown = runs_of_table(experiment, table, runs)
        yield _map_plot(name, dataset, table, shown, styles)
        if shown and len(table.methods) > 1:
            yield from comparison_plots(experiment, name, dataset, shown, styles)
    runs = [run for run in runs if run.key.method in experiment.methods]  # trials aside
    for method in dict.fromkeys(run.key.method for run in runs):
        yield from _threshold_plots(dataset, [run for run in runs if run.key.method == method])
    yield from _pseudo_label_plot(dataset, runs, styles)
    yield from _distance_plot(dataset, runs, styles)


def _map_plot(
    table: str, dataset: str, shown: Shown, runs: list[Run], styles: LineStyles
) -> Plot | SkippedFigure:
    """The mAP of one table: by known ratio, or with the labels of its setting."""
    of_ratios = shown.setting is None
    name = f"{table}-map-by-known-ratio" if of_ratios else f"{table}-map"
    labels = "by share of known labels" if of_ratios else f"with {shown.setting} labels"
    summary = summary_of(runs)
    if summary.loc[summary["selection"] == "last", "mAP"].isna().all():
        return SkippedFigure(name, dataset, "no run has a mAP")
    title = f"mAP on {dataset} {labels}, last epoch"
    return Plot(name, dataset, title, runs, map_figure(summary, styles))


def _threshold_plots(dataset: str, runs: list[Run]) -> Iterator[Plot | SkippedFigure]:
    """Thresholds and score distributions of one method, from its first seed."""
    method = runs[0].key.method
    names = [f"{dataset}-thresholds-{method}", f"{dataset}-score-distributions-{method}"]
    runs = [run for run in runs if run.key.seed == runs[0].key.seed]
    ratios = lowest_middle_highest([run.key.known_ratio for run in runs])
    shown = [run for run in runs if run.key.known_ratio in ratios]
    thresholds = _stack({run.key.known_ratio: run.folder.thresholds() for run in shown})
    if not _vary_by_category(thresholds):
        common = f"the thresholds of {method} are the same for every category"
        reason = common if len(_finite(thresholds)) else f"{method} has no thresholds"
        for name in names:
            yield SkippedFigure(name, dataset, reason)
        return
    histograms = _stack({run.key.known_ratio: run.folder.score_histogram() for run in shown})
    counts = positive_counts(histograms[histograms["known_ratio"] == ratios[0]])
    title = f"Thresholds of {method} on {dataset} over the epochs"
    yield Plot(names[0], dataset, title, shown, threshold_figure(thresholds, counts))

    last = thresholds[thresholds["epoch"] == thresholds["epoch"].max()]
    title = f"Training logits and thresholds of {method} on {dataset}, last epoch"
    # The lowest ratio beside another setting, or, where there is none, beside the next ratio.
    pair = [ratios[0], *[one for one in ratios[1:] if isinstance(one, str)], *ratios[1:]][:2]
    two = [table[table["known_ratio"].isin(pair)] for table in (histograms, last)]
    shown = [run for run in shown if run.key.known_ratio in pair]
    yield Plot(names[1], dataset, title, shown, score_figure(*two))


def _vary_by_category(thresholds: pd.DataFrame) -> bool:
    by_epoch = _finite(thresholds).groupby(["known_ratio", "epoch"])["tau_pos"]
    return bool((by_epoch.nunique() > 1).any())


def _finite(thresholds: pd.DataFrame) -> pd.DataFrame:
    return thresholds[thresholds["tau_pos"].abs() < float("inf")]


def _pseudo_label_plot(
    dataset: str, runs: list[Run], styles: LineStyles
) -> Iterator[Plot | SkippedFigure]:
    """Quality of the pseudo-labels of all methods that make any."""
    name = f"{dataset}-pseudo-labels"
    runs = [run for run in runs if has_truth(run)]
    if not runs:
        yield SkippedFigure(name, dataset, "no ground truth is behind the unknown labels")
        return
    ratios = lowest_middle_highest([run.key.known_ratio for run in runs])
    shown = [run for run in runs if run.key.known_ratio in ratios]
    quality = {run.key: _quality(run) for run in shown}
    makers = {key.method for key, table in quality.items() if table.notna().any(axis=None)}
    shown = [run for run in shown if run.key.method in makers]
    if not shown:
        yield SkippedFigure(name, dataset, "no method made pseudo-labels")
        return
    rows = pd.concat([
        quality[run.key].reset_index().assign(
            method=run.key.method, known_ratio=run.key.known_ratio, seed=run.key.seed
        )
        for run in shown
    ])  # fmt: skip
    nominal = {run.key.method: aim for run in shown if (aim := _aimed_precision(run)) is not None}
    title = f"Quality of the pseudo-labels on {dataset} over the epochs"
    yield Plot(name, dataset, title, shown, pseudo_label_figure(rows, nominal, styles))


def _distance_plot(
    dataset: str, runs: list[Run], styles: LineStyles
) -> Iterator[Plot | SkippedFigure]:
    """How alike known and hidden labels score, of all methods under their own name."""
    name = f"{dataset}-known-and-hidden"
    means = {
        run.key: score_distances(run.folder.score_histogram())
        .groupby("side")[["distance", "expected"]].mean().reset_index()
        for run in runs if run.key.method == run.config["method_class"]
    }  # fmt: skip
    rows = [
        table.assign(method=key.method, known_ratio=key.known_ratio, seed=key.seed)
        for key, table in means.items()
        if len(table)
    ]
    if not rows:
        yield SkippedFigure(name, dataset, "no category has enough known and hidden labels")
        return
    title = f"Kolmogorov–Smirnov distance of known and hidden labels on {dataset}, last epoch"
    shown = [run for run in runs if run.key in means]
    table = pd.concat(rows)
    crowded = table["method"].nunique() > MOST_LINES
    figure = distance_dots(table) if crowded else distance_figure(table, styles)
    yield Plot(name, dataset, title, shown, figure)


def _quality(run: Run) -> pd.DataFrame:
    """Index epoch, columns MEASURES, per cent."""
    epochs = pd.DataFrame(run.metrics["epochs"]).set_index("epoch")
    return epochs.reindex(columns=list(MEASURES)).astype(float)


def _aimed_precision(run: Run) -> float | None:
    """Per cent; the rule `posterior` sets its thresholds where the posterior is q."""
    options = run.config["options"]
    return 100 * options["q"] if options.get("rule") == "posterior" and "q" in options else None


def _stack(by_ratio: dict[Known, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(by_ratio, names=["known_ratio"]).reset_index("known_ratio")


def _entry(plot: Plot, path: Path, there: str) -> dict:
    sources = [
        {
            "folder": run.key.folder(Path()).as_posix(),
            "fingerprint": name_of(run.record["fingerprint"]),
        }
        for run in plot.runs
    ]
    title = titled(plot.title, there)
    return {"file": path.name, "dataset": plot.dataset, "title": title, "runs": sources}
