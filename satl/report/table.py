"""A result table as data; `satl.report.tables` fills it, `satl.report.render` writes it."""

from dataclasses import dataclass

import pandas as pd

from satl.config import Shown
from satl.report.claims import NO_VALUE
from satl.report.statistics import Comparisons
from satl.report.titles import titled


@dataclass(frozen=True)
class Cell:
    """One number: per cent, NaN where there is none; `rank` 1 is the best, 2 the second.

    `written` is what is shown in its place, such as a difference with its interval.
    """

    mean: float
    std: float = float("nan")
    runs: int = 0
    rank: int = 0
    written: str | None = None

    @property
    def text(self) -> str:
        """As every format but CSV shows it."""
        if self.written is not None:
            return self.written
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
    """What each format shows of one data set: how the labels are known decides what is a column.

    Attributes:
        name: that of its files, DATASET[-ABLATION][-SETTING].
        dataset: its name.
        shown: methods and known ratios, or the only setting.
        columns: known ratios and, where there are several, their average, of the mAP; or, of a
            setting, the mAP and what else is told of each method.
        headings: `columns` as shown, '0.10' -> '10 %'.
        blocks, notes: from top to bottom.
        comparisons: of the average over the known ratios, or of the only ratio or setting.
        extent: how many of its runs are there, where some are missing.
    """

    name: str
    dataset: str
    shown: Shown
    columns: tuple[str, ...]
    headings: tuple[str, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]
    comparisons: Comparisons
    extent: str = ""

    @property
    def has_differences_below(self) -> bool:
        """Whether differences to the reference are a table of their own; else they are columns."""
        return self.shown.setting is None and self.comparisons.are_claims

    @property
    def caption(self) -> str:
        """What stands above the table, or titles the page."""
        setting, group = self.shown.setting, self.shown.group
        caption = (
            f"mAP (%) on {self.dataset} by share of known labels"
            if setting is None
            else f"Results (%) on {self.dataset}, labels known: {setting}"
        )
        return titled(f"{caption}: {group}" if group else caption, self.extent)
