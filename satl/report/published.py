"""Published results beside ours: the block of a table, and its notes."""

from pathlib import Path

import pandas as pd

from satl.core.errors import UserError
from satl.core.files import existing
from satl.report.blocks import AVERAGE
from satl.report.claims import NO_VALUE
from satl.report.table import Block, Cell, Row


def read_published(path: Path) -> pd.DataFrame:
    """Columns method, source, known ratios and perhaps average. Raises UserError."""
    quoted = pd.read_csv(existing(path, "table of published results"))
    lacking = [name for name in ("method", "source") if name not in quoted]
    if lacking:
        raise UserError(f"{path}: lacks the column {lacking[0]!r}")
    return quoted


def published_block(quoted: pd.DataFrame, columns: tuple[str, ...], first_note: int) -> Block:
    """Rows as quoted; the stated average only beside all the ratios that it is made of.

    Rows that state nothing but an average are left out where it is not shown.
    """
    ratios = [name for name in quoted if name not in ("method", "source", AVERAGE)]
    cells = quoted.reindex(columns=list(columns)).astype(float)
    if AVERAGE in columns:
        shown = list(columns[: columns.index(AVERAGE)])
        mean = cells[shown].mean(axis="columns", skipna=False)
        cells[AVERAGE] = cells[AVERAGE].fillna(mean) if set(ratios) <= set(shown) else mean
    states_average = quoted.reindex(columns=[AVERAGE]).notna().any(axis="columns")
    lost = states_average & quoted[ratios].isna().all(axis="columns") & cells.isna().all(axis=1)
    quoted, cells = quoted[~lost], cells[~lost]
    sources = list(dict.fromkeys(quoted["source"]))
    rows = [
        Row(method, tuple(map(Cell, values)), source, first_note + sources.index(source))
        for method, source, values in zip(
            quoted["method"], quoted["source"], cells.to_numpy(), strict=True
        )
    ]
    return Block("published", "published", tuple(rows))


def published_notes(block: Block) -> list[str]:
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
