"""Everything that is made from run folders: summary, tables, figures and page of an experiment."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from satl.config import Experiment
from satl.core.errors import UserError
from satl.core.files import write_text
from satl.report import render_differences
from satl.report.figures import write_figures
from satl.report.page import write_page
from satl.report.render import RENDERERS
from satl.report.summary import summary_of, write_summary
from satl.report.table import Table
from satl.report.tables import result_tables
from satl.report.tuned import candidates, chosen_options
from satl.runs.evaluated import evaluated_runs


def write_report(experiment: Experiment, results: Path) -> None:
    """Write what `results` (results/NAME) shows of its run folders, of all or of those so far.

    These are summary.csv, tables/, figures/ and the page index.html. Files that an earlier report
    left in tables/ and figures/, and that this one does not make, are removed.

    Raises:
        UserError: no run is evaluated, or a run folder is of another config or damaged.
    """
    runs = evaluated_runs(experiment, results)
    base = Path(results)
    if not runs:
        raise UserError(f"{base}: no evaluated run to report on; train and evaluate one first")
    write_summary(summary_of(runs), base / "summary.csv")
    tables = {
        dataset: result_tables(
            experiment, dataset, [run for run in runs if run.key.dataset == dataset]
        )
        for dataset in experiment.datasets
    }
    made = [base / "summary.csv"]
    for table in chain(*tables.values()):
        made += _write_table(table, base / "tables")
    if experiment.tune:
        for name, rows in {"options": chosen_options, "candidates": candidates}.items():
            made.append(base / "tables" / f"tuned-{name}.csv")
            write_text(made[-1], rows(experiment, runs).to_csv(index=False))
    made += write_figures(experiment, runs, base / "figures")
    write_page(experiment, runs, tables, made, base / "index.html")
    _remove_stale((base / "tables", base / "figures"), made)


def _write_table(table: Table, folder: Path) -> list[Path]:
    """Write one table in all formats, and its differences; returns the paths."""
    texts = {f"{table.name}.{suffix}": render(table) for suffix, render in RENDERERS.items()}
    differences = render_differences.csv(table.dataset, table.comparisons)
    texts[f"{table.name}-differences.csv"] = differences
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def _remove_stale(folders: Iterable[Path], made: Sequence[Path]) -> None:
    for folder in folders:
        for path in folder.iterdir():
            if path not in made:
                path.unlink()
