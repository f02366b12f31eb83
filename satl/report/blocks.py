"""The blocks of a table: a metric by method and known ratio or setting, mean ± deviation."""

from dataclasses import replace

import pandas as pd

from satl.config import Experiment, Known, Shown, ratio_name
from satl.config.shown import TUNED
from satl.metrics import METRIC_COLUMNS
from satl.report.summary import pseudo_label_summary, summary_of
from satl.report.table import Block, Cell, Row
from satl.report.tuned import ORACLE, by_test, runs_of_table, tuned_runs
from satl.runs.evaluated import Run
from satl.runs.folder import SELECTIONS

SELECTION_TITLES = {
    "last": "last epoch",
    "best_on_validation": "best on held-out known labels",
    "best_on_test": "best on test",
}
TUNED_TITLES = {
    TUNED: "last epoch, tuned on held-out known labels",
    "given": "last epoch, options as given",
    ORACLE: "last epoch, tuned on test: a look at the ground truth",
}
AVERAGE = "average"
Columns = dict[str, list[Known]]


def selections(experiment: Experiment) -> list[str]:
    """Which of SELECTIONS an experiment has."""
    lacking = () if experiment.validation else ("best_on_validation",)
    return [name for name in SELECTIONS if name not in lacking]


def columns_of(shown: Shown) -> Columns:
    """What is averaged: each known ratio and all of them; or the only setting."""
    columns: Columns = {ratio_name(known): [known] for known in shown.known}
    return {**columns, AVERAGE: shown.known} if len(columns) > 1 else columns


def runs_of_blocks(experiment: Experiment, shown: Shown, runs: list[Run]) -> dict[str, list[Run]]:
    """By name of block, the runs that it shows of the evaluated `runs` of a data set."""
    mine = runs_of_table(experiment, shown, runs)
    if shown.group != TUNED:
        return dict.fromkeys(selections(experiment), mine)
    known = [run for run in runs if run.key.known_ratio in shown.known]
    return {
        TUNED: mine,
        "given": [run for run in known if run.key.method in shown.methods],
        ORACLE: tuned_runs(experiment, known, by_test),
    }


def blocks_of(
    experiment: Experiment, shown: Shown, runs: list[Run], metric: str = "mAP"
) -> list[Block]:
    """What a table shows of the evaluated `runs` of its data set, of one metric.

    A block per selection of the epoch; or, of tuned methods, per way of choosing options, all at
    the last epoch. `metric` is one of METRIC_COLUMNS or a measure of pseudo-labels.
    """
    blocks = []
    for name, of_block in runs_of_blocks(experiment, shown, runs).items():
        is_metric = metric in METRIC_COLUMNS
        summary = summary_of(of_block) if is_metric else pseudo_label_summary(of_block, metric)
        selection = name if name in SELECTION_TITLES else "last"
        chosen = summary[summary["selection"] == selection]
        title = (SELECTION_TITLES | TUNED_TITLES)[name]
        blocks.append(Block(name, title, _rows(shown, chosen, metric)))
    return blocks


def _rows(shown: Shown, chosen: pd.DataFrame, metric: str) -> tuple[Row, ...]:
    """A row per method, with the best two of each column marked."""
    columns = columns_of(shown)
    rows = {m: _cells(columns, chosen[chosen["method"] == m], metric) for m in shown.methods}
    # Ranked as shown, at one decimal, so that numbers that read the same are marked the same.
    means = pd.DataFrame({m: [c.mean for c in cells] for m, cells in rows.items()}).round(1)
    ranks = means.rank(axis="columns", method="dense", ascending=False).fillna(0).astype(int)
    return tuple(
        Row(method, tuple(
            replace(cell, rank=rank if rank <= 2 else 0)
            for cell, rank in zip(cells, ranks[method], strict=True)
        ))
        for method, cells in rows.items()
    )  # fmt: skip


def _cells(columns: Columns, rows: pd.DataFrame, metric: str) -> list[Cell]:
    """Mean and deviation over seeds of one method: one cell per column."""
    by_seed = rows.pivot(index="seed", columns="known_ratio", values=metric)
    return [_cell(by_seed.reindex(columns=known)) for known in columns.values()]


def _cell(by_seed: pd.DataFrame) -> Cell:
    """One column of a table for each seed (row), over those of `by_seed`."""
    cells = [_over_seeds(by_seed[known]) for known in by_seed]
    if len(cells) == 1:
        return cells[0]
    average = _over_seeds(by_seed.mean(axis="columns", skipna=False))
    mean = pd.Series([cell.mean for cell in cells]).mean(skipna=False)
    return Cell(mean, average.std, average.runs)


def _over_seeds(values: pd.Series) -> Cell:
    return Cell(values.mean(), values.std(), int(values.count()))
