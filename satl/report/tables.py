"""The result tables of a data set: one of the known ratios, one of each other setting."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from satl.config import Experiment, Shown, known_title
from satl.config.shown import TUNED
from satl.report.blocks import blocks_of, columns_of
from satl.report.claims import OTHER_EPOCHS_NOTE, claim_notes, difference_notes, first_places
from satl.report.notes import (
    how_labels_are_known,
    protocol_notes,
    selection_notes,
    tuning_notes,
    what_is_judged,
    what_is_missing,
    what_is_shown,
)
from satl.report.published import published_block, published_notes, read_published
from satl.report.setting_blocks import setting_blocks, setting_notes
from satl.report.statistics import Comparisons, Scores, compared, reference_of, scores_of
from satl.report.table import Block, Table
from satl.report.titles import commits, extent, runs_per_method
from satl.report.tuned import runs_of_table
from satl.runs.evaluated import Run


def result_tables(experiment: Experiment, dataset: str, runs: list[Run]) -> list[Table]:
    """The tables of `dataset` from its evaluated `runs`, in the order of `Experiment.tables`.

    Raises:
        UserError: the data set's `published` file is missing or lacks a column.
    """
    return [
        _table(experiment, dataset, name, shown, runs)
        for name, shown in experiment.tables(dataset).items()
    ]


def _table(experiment: Experiment, dataset: str, name: str, shown: Shown, runs: list[Run]) -> Table:
    mine = runs_of_table(experiment, shown, runs)
    scores = scores_of(mine)
    reference = reference_of(experiment.report.reference, shown.methods)
    comparisons = compared(scores, shown.methods, reference, shown.known)
    blocks, claims = _marked(scores, shown, blocks_of(experiment, shown, runs))
    headings = {
        column: known_title(known[0]) if len(known) == 1 else column
        for column, known in columns_of(shown).items()
    }
    if shown.setting is not None:
        headings, blocks = setting_blocks(experiment, shown, runs, blocks, comparisons)
    notes = _notes(experiment, dataset, shown, mine, comparisons, claims)
    published = experiment.datasets[dataset].published
    if published and name == dataset and shown.setting is None:
        quoted = read_published(Path(published))
        blocks = [*blocks, published_block(quoted, tuple(headings), len(notes) + 1)]
        notes += published_notes(blocks[-1])
    there = extent(len(mine), runs_per_method(experiment, shown) * len(shown.methods))
    return Table(
        name, dataset, shown, tuple(headings), tuple(headings.values()), tuple(blocks),
        tuple(notes), comparisons, there,
    )  # fmt: skip


def _notes(
    experiment: Experiment,
    dataset: str,
    shown: Shown,
    runs: list[Run],
    comparisons: Comparisons,
    claims: bool,
) -> list[str]:
    """What stands below a table, published results aside."""
    is_tuned = shown.group == TUNED
    notes = [
        what_is_shown(experiment),
        *protocol_notes(experiment),
        *claim_notes(scores_of(runs), claims),
        *(setting_notes(shown, runs) if shown.setting else [OTHER_EPOCHS_NOTE] * claims),
        *(tuning_notes(experiment) if is_tuned else selection_notes(experiment)),
        *how_labels_are_known(experiment, shown),
        *what_is_judged(runs),
        *what_is_missing(experiment, dataset, shown, runs),
        f"Config {experiment.name}; commit {commits(runs)}.",
    ]
    return notes + (difference_notes(comparisons, shown.known) if comparisons.are_claims else [])


def _marked(scores: Scores, shown: Shown, blocks: Sequence[Block]) -> tuple[list[Block], bool]:
    """`blocks`, the first with its best marked by tests where there are any; whether there are."""
    means = {row.method: [cell.mean for cell in row.cells] for row in blocks[0].rows}
    columns = list(columns_of(shown).values())
    first = first_places(scores, pd.DataFrame(means), columns)
    if first is None:
        return list(blocks), False
    return [_with_first_places(blocks[0], first), *blocks[1:]], True


def _with_first_places(block: Block, first: pd.DataFrame) -> Block:
    """`block` with rank 1 where `first` (a row per column) says so, and no other rank."""
    rows = [
        replace(row, cells=tuple(
            replace(cell, rank=int(bool(is_first)))
            for cell, is_first in zip(row.cells, first[row.method], strict=True)
        ))
        for row in block.rows
    ]  # fmt: skip
    return replace(block, rows=tuple(rows))
