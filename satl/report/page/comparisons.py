"""The page's tables, differences and gains: what the report's own tables and figures compute."""

from typing import Any

from satl.config import Experiment
from satl.metrics import METRIC_COLUMNS
from satl.report.blocks import blocks_of, columns_of
from satl.report.comparison_plots import ap_by_category, gains_by_category
from satl.report.page.numbers import rounded
from satl.report.statistics import Comparison, compared, scores_of
from satl.report.table import Block, Table
from satl.report.tuned import runs_of_table
from satl.runs.evaluated import Run

ByMethod = dict[str, dict[str, list[float | None]]]


def table_data(
    experiment: Experiment, table: Table, runs: list[Run], categories: list[str]
) -> dict[str, Any]:
    """One table, and what compares its methods.

    Args:
        experiment: the experiment.
        table: as the report writes it.
        runs: the evaluated runs of its data set.
        categories: names, in the order of the page.
    """
    runs_shown = runs_of_table(experiment, table.shown, runs)
    by_known = {
        name: [run for run in runs_shown if run.key.known_ratio in known]
        for name, known in columns_of(table.shown).items()
    }
    return {
        "name": table.name,
        "setting": table.shown.setting,
        "caption": table.caption,
        "known": list(by_known),
        "columns": table.columns,
        "headings": table.headings,
        "methods": table.shown.methods,
        "reference": table.comparisons.reference,
        "blocks": [_block(block) | _shown(block) for block in table.blocks],
        "metrics": _other_metrics(experiment, table, runs),
        "differences": _differences(table, runs_shown),
        "gains": _gains(table, by_known, categories),
        "ap": _ap(by_known, categories),
        "notes": table.notes,
    }


def _block(block: Block) -> dict[str, Any]:
    cells = [cell for row in block.rows for cell in row.cells]
    return {
        "name": block.name,
        "title": block.title,
        "rows": [row.method for row in block.rows],
        # Shown at one decimal: rounded twice, 82.351 would not be the 82.4 of the other tables.
        "mean": rounded((cell.mean for cell in cells), 4),
        "std": rounded((cell.std for cell in cells), 4),
    }


def _shown(block: Block) -> dict[str, list[Any]]:
    """How cells are marked and, where any is not shown as mean and deviation, written."""
    cells = [cell for row in block.rows for cell in row.cells]
    written = [cell.written for cell in cells]
    return {"rank": [cell.rank for cell in cells]} | ({"written": written} if any(written) else {})


def _other_metrics(
    experiment: Experiment, table: Table, runs: list[Run]
) -> dict[str, list[dict[str, Any]]]:
    """Blocks by metric, with a cell per entry of `known`; the mAP stands in the table itself.

    No cell is marked: of some metrics the lowest is the best, and none is tested.
    """
    return {
        metric: [_block(block) for block in blocks_of(experiment, table.shown, runs, metric)]
        for metric in METRIC_COLUMNS
        if metric != "mAP"
    }


def _differences(table: Table, runs: list[Run]) -> dict[str, Any]:
    """By known ratio, average or setting, those of each method to the reference."""
    scores, reference = scores_of(runs), table.comparisons.reference
    return {
        name: _difference_rows(compared(scores, table.shown.methods, reference, known).rows)
        for name, known in columns_of(table.shown).items()
    }


def _difference_rows(rows: tuple[Comparison, ...]) -> dict[str, Any]:
    return {
        "methods": [row.method for row in rows],
        # Shown at two decimals, p at three, as in the table.
        "mean": rounded((row.difference.mean for row in rows), 5),
        "low": rounded((row.difference.low for row in rows), 5),
        "high": rounded((row.difference.high for row in rows), 5),
        "p": rounded((row.adjusted for row in rows), 6),
    }


def _gains(table: Table, by_known: dict[str, list[Run]], categories: list[str]) -> ByMethod:
    """By known ratio, average or setting and method: the gain of AP over the reference."""
    reference = table.comparisons.reference
    return {
        name: _by_category(gains_by_category(runs, reference), categories)
        for name, runs in by_known.items()
    }


def _ap(by_known: dict[str, list[Run]], categories: list[str]) -> ByMethod:
    """By known ratio, average or setting and method: the AP, by category."""
    return {name: _by_category(ap_by_category(runs), categories) for name, runs in by_known.items()}


def _by_category(rows: Any, categories: list[str]) -> dict[str, list[float | None]]:
    wide = rows.pivot(index="category", columns="method", values="mean").reindex(categories)
    return {str(method): rounded(wide[method], 4) for method in wide.columns}
