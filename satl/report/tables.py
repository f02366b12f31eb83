"""The result tables of a data set: mAP by method and known ratio, as data; `render` writes it."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from satl.config import Experiment, Known, known_title, ratio_name, tuned_table
from satl.core.errors import UserError
from satl.core.files import existing
from satl.report.claims import NO_VALUE, claim_notes, difference_notes, first_places
from satl.report.evaluated import Run, commits, extent, runs_per_method, titled
from satl.report.notes import (
    other_settings,
    selection_notes,
    tuning_notes,
    what_is_judged,
    what_is_missing,
    what_is_shown,
)
from satl.report.statistics import Comparisons, compared, reference_of, scores_of
from satl.report.summary import summary_of
from satl.report.tuned import ORACLE, TUNED, by_held_out, by_test, runs_of_table, tuned_runs
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


@dataclass(frozen=True)
class Cell:
    """One number: per cent, NaN where there is none; `rank` 1 is the best, 2 the second."""

    mean: float
    std: float = float("nan")
    runs: int = 0
    rank: int = 0

    @property
    def text(self) -> str:
        """As every format but CSV shows it."""
        if pd.isna(self.mean):
            return NO_VALUE
        return f"{self.mean:.1f}" + ("" if pd.isna(self.std) else f" ± {self.std:.1f}")


@dataclass(frozen=True)
class Row:
    """One method: one cell per column of its table; `note` numbers its footnote."""

    method: str
    cells: tuple[Cell, ...]
    source: str = ""
    note: int | None = None


@dataclass(frozen=True)
class Block:
    """Rows that may be compared with each other."""

    name: str
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """What each format shows of one data set.

    `columns` are the known ratios, where there are several their average, and the other settings
    (`observe`); `comparisons` are of this average, or of the only ratio or setting.

    `name` is that of its files: the data set's, or DATASET-ABLATION. `extent` says how many of
    its runs are there, where some are missing.
    """

    name: str
    dataset: str
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]
    comparisons: Comparisons
    extent: str = ""

    @property
    def caption(self) -> str:
        """What stands above the table, or titles the page."""
        ablation = self.name.removeprefix(self.dataset).removeprefix("-")
        caption = f"mAP (%) on {self.dataset} by share of known labels"
        return titled(f"{caption}: {ablation}" if ablation else caption, self.extent)

    @property
    def headings(self) -> tuple[str, ...]:
        """The columns as shown: '0.10' -> '10 %'."""
        return tuple(known_title(float(c) if c[0].isdigit() else c) for c in self.columns)


def result_tables(experiment: Experiment, dataset: str, runs: list[Run]) -> list[Table]:
    """The tables of `dataset` from its evaluated `runs`: the main one, then the ablations.

    Raises:
        UserError: the data set's `published` file is missing or lacks a column.
    """
    groups = columns_of(experiment, dataset)
    columns = tuple(groups)
    tables = []
    for name, methods in experiment.tables(dataset).items():
        shown = runs_of_table(experiment, dataset, name, runs)
        summary = summary_of(shown)
        scores = scores_of(shown)
        is_tuned = name == tuned_table(dataset)
        blocks = blocks_of(experiment, name, dataset, runs)
        first = first_places(scores, _means(blocks[0]), list(groups.values()))
        if first is not None:
            blocks[0] = _with_first_places(blocks[0], first)
        reference = reference_of(experiment.report.reference, methods)
        comparisons = compared(scores, methods, reference, experiment.compared(dataset))
        notes = [
            what_is_shown(experiment),
            *claim_notes(scores, first is not None),
            *(tuning_notes(experiment) if is_tuned else selection_notes(experiment)),
            *other_settings(experiment, dataset),
            *what_is_judged(shown),
            *what_is_missing(experiment, dataset, methods, shown, summary),
            f"Config {experiment.name}; commit {commits(shown)}.",
        ]
        if comparisons.are_claims:
            notes += difference_notes(comparisons, experiment.compared(dataset))
        published = experiment.datasets[dataset].published
        if published and name == dataset:
            block = _published_block(_read_published(Path(published)), columns, len(notes) + 1)
            blocks.append(block)
            notes += _published_notes(block)
        there = extent(len(shown), runs_per_method(experiment, dataset) * len(methods))
        tables.append(
            Table(name, dataset, columns, tuple(blocks), tuple(notes), comparisons, there)
        )
    return tables


def selections(experiment: Experiment) -> list[str]:
    """Which of SELECTIONS an experiment has."""
    lacking = () if experiment.validation else ("best_on_validation",)
    return [name for name in SELECTIONS if name not in lacking]


def columns_of(experiment: Experiment, dataset: str) -> Columns:
    """What each column of a table averages: each known ratio, all of them, each other setting."""
    known = experiment.known(dataset)
    ratios = [one for one in known if not isinstance(one, str)]
    columns: Columns = {ratio_name(ratio): [ratio] for ratio in ratios}
    if len(ratios) > 1:
        columns[AVERAGE] = [*ratios]
    return columns | {one: [one] for one in known if isinstance(one, str)}


def _means(block: Block) -> pd.DataFrame:
    """A row per column of the block, a column per method."""
    return pd.DataFrame({row.method: [cell.mean for cell in row.cells] for row in block.rows})


def _with_first_places(block: Block, first: pd.DataFrame) -> Block:
    """`block` with rank 1 where `first` (as `_means`) says so, and no other rank."""
    rows = [
        replace(row, cells=tuple(
            replace(cell, rank=int(bool(is_first)))
            for cell, is_first in zip(row.cells, first[row.method], strict=True)
        ))
        for row in block.rows
    ]  # fmt: skip
    return replace(block, rows=tuple(rows))


def blocks_of(
    experiment: Experiment, name: str, dataset: str, runs: list[Run], metric: str = "mAP"
) -> list[Block]:
    """What the table `name` of `dataset` shows of its evaluated `runs`, of one metric."""
    kind = _tuned_blocks if name == tuned_table(dataset) else _blocks
    groups, methods = columns_of(experiment, dataset), experiment.tables(dataset)[name]
    return kind(experiment, groups, methods, runs, metric)


def _blocks(
    experiment: Experiment, groups: Columns, methods: list[str], runs: list[Run], metric: str
) -> list[Block]:
    """A block per selection of the epoch."""
    summary = summary_of([run for run in runs if run.key.method in methods])
    return [
        _block(groups, methods, summary, name, name, SELECTION_TITLES[name], metric)
        for name in selections(experiment)
    ]


def _tuned_blocks(
    experiment: Experiment, groups: Columns, methods: list[str], runs: list[Run], metric: str
) -> list[Block]:
    """A block per way of choosing options, all at the last epoch; the tuned ones first."""
    given = [run for run in runs if run.key.method in methods]
    chosen = {
        TUNED: tuned_runs(experiment, runs, by_held_out),
        "given": given,
        ORACLE: tuned_runs(experiment, runs, by_test),
    }
    return [
        _block(groups, methods, summary_of(shown), "last", name, TUNED_TITLES[name], metric)
        for name, shown in chosen.items()
    ]


def _block(
    groups: Columns,
    methods: list[str],
    summary: pd.DataFrame,
    selection: str,
    name: str,
    title: str,
    metric: str,
) -> Block:
    """`methods` under one selection of the epoch, with the best two of each column marked."""
    chosen = summary[summary["selection"] == selection]
    rows = {
        method: _cells(groups, chosen[chosen["method"] == method], metric) for method in methods
    }
    # Ranked as shown, at one decimal, so that numbers that read the same are marked the same.
    means = pd.DataFrame({m: [c.mean for c in cells] for m, cells in rows.items()}).round(1)
    ranks = means.rank(axis="columns", method="dense", ascending=False).fillna(0).astype(int)
    return Block(
        name,
        title,
        tuple(
            Row(method, tuple(
                Cell(cell.mean, cell.std, cell.runs, rank if rank <= 2 else 0)
                for cell, rank in zip(cells, ranks[method], strict=True)
            ))
            for method, cells in rows.items()
        ),
    )  # fmt: skip


def _cells(groups: Columns, rows: pd.DataFrame, metric: str) -> list[Cell]:
    """Mean and deviation over seeds of one method: one cell per column."""
    by_seed = rows.pivot(index="seed", columns="known_ratio", values=metric)
    return [_cell(by_seed.reindex(columns=known)) for known in groups.values()]


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


def _read_published(path: Path) -> pd.DataFrame:
    quoted = pd.read_csv(existing(path, "table of published results"))
    lacking = [name for name in ("method", "source") if name not in quoted]
    if lacking:
        raise UserError(f"{path}: lacks the column {lacking[0]!r}")
    return quoted


def _published_block(quoted: pd.DataFrame, columns: tuple[str, ...], first_note: int) -> Block:
    """Rows as quoted; the stated average only beside all the ratios that it is made of."""
    cells = quoted.reindex(columns=list(columns)).astype(float)
    if AVERAGE in columns:
        ratios = list(columns[: columns.index(AVERAGE)])
        shows_all = set(quoted.columns) - {"method", "source", AVERAGE} <= set(ratios)
        mean = cells[ratios].mean(axis="columns", skipna=False)
        cells[AVERAGE] = cells[AVERAGE].fillna(mean) if shows_all else mean
    sources = list(dict.fromkeys(quoted["source"]))
    rows = [
        Row(method, tuple(map(Cell, values)), source, first_note + sources.index(source))
        for method, source, values in zip(
            quoted["method"], quoted["source"], cells.to_numpy(), strict=True
        )
    ]
    return Block("published", "published", tuple(rows))


def _published_notes(block: Block) -> list[str]:
    """One note per source, in the order of the numbers that the rows carry."""
    quoted = {row.source: False for row in block.rows}
    for row in block.rows:
        quoted[row.source] |= any(cell.text != NO_VALUE for cell in row.cells)
    return [
        f"Quoted from {source}; written down without the paper at hand, "
        f"check single cells before citing."
        if has_numbers
        else f"{source}."
        for source, has_numbers in quoted.items()
    ]
