"""The page's tables, differences and gains: what the report's own tables and figures compute."""

from typing import Any

from satl.config import Experiment
from satl.metrics import METRIC_COLUMNS
from satl.report.comparison_plots import ap_by_category, gains_by_category
from satl.report.evaluated import Run
from satl.report.page.numbers import rounded
from satl.report.statistics import Comparison, compared, scores_of
from satl.report.tables import Block, Table, blocks_of, columns_of
from satl.report.tuned import runs_of_table


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
    methods = experiment.tables(table.dataset)[table.name]
    shown = runs_of_table(experiment, table.dataset, table.name, runs)
    return {
        "name": table.name,
        "caption": table.caption,
        "columns": table.columns,
        "headings": table.headings,
        "methods": methods,
        "reference": table.comparisons.reference,
        "blocks": [_block(block) | _ranks(block) for block in table.blocks],
        "metrics": _other_metrics(experiment, table, runs),
        "differences": _differences(experiment, table, methods, shown),
        "gains": _gains(experiment, table, shown, categories),
        "ap": _ap(experiment, table, shown, categories),
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


def _ranks(block: Block) -> dict[str, list[int]]:
    return {"rank": [cell.rank for row in block.rows for cell in row.cells]}


def _other_metrics(
    experiment: Experiment, table: Table, runs: list[Run]
) -> dict[str, list[dict[str, Any]]]:
    """Blocks by metric; those of mAP stand in the table itself, with published results.

    No cell is marked: of some metrics the lowest is the best, and none is tested.
    """
    return {
        metric: [
            _block(block)
            for block in blocks_of(experiment, table.name, table.dataset, runs, metric)
        ]
        for metric in METRIC_COLUMNS
        if metric != "mAP"
    }


def _differences(
    experiment: Experiment, table: Table, methods: list[str], runs: list[Run]
) -> dict[str, Any]:
    """By column of the table, those of each method to the reference."""
    scores, reference = scores_of(runs), table.comparisons.reference
    return {
        column: _difference_rows(compared(scores, methods, reference, known).rows)
        for column, known in columns_of(experiment, table.dataset).items()
    }


def _difference_rows(rows: tuple[Comparison, ...]) -> dict[str, Any]:
    return {
        "methods": [row.method for row in rows],
        "mean": rounded(row.difference.mean for row in rows),
        "low": rounded(row.difference.low for row in rows),
        "high": rounded(row.difference.high for row in rows),
        "p": rounded((row.adjusted for row in rows), 4),
    }


def _gains(
    experiment: Experiment, table: Table, runs: list[Run], categories: list[str]
) -> dict[str, dict[str, list[float | None]]]:
    """By column of the table and method: the gain of AP over the reference, by category."""
    reference = table.comparisons.reference
    return {
        column: _by_category(gains_by_category(of_column, reference), categories)
        for column, of_column in _by_column(experiment, table, runs).items()
    }


def _ap(
    experiment: Experiment, table: Table, runs: list[Run], categories: list[str]
) -> dict[str, dict[str, list[float | None]]]:
    """By column of the table and method: the AP, by category."""
    return {
        column: _by_category(ap_by_category(of_column), categories)
        for column, of_column in _by_column(experiment, table, runs).items()
    }


def _by_column(experiment: Experiment, table: Table, runs: list[Run]) -> dict[str, list[Run]]:
    return {
        column: [run for run in runs if run.key.known_ratio in known]
        for column, known in columns_of(experiment, table.dataset).items()
    }


def _by_category(rows: Any, categories: list[str]) -> dict[str, list[float | None]]:
    wide = rows.pivot(index="category", columns="method", values="mean").reindex(categories)
    return {str(method): rounded(wide[method], 2) for method in wide.columns}
