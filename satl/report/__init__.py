"""Everything that is made from run folders: summary, tables and figures of an experiment."""

from pathlib import Path

from satl.config import Experiment
from satl.core.errors import UserError
from satl.core.files import write_text
from satl.report import render_differences
from satl.report.evaluated import evaluated_runs
from satl.report.figures import write_figures
from satl.report.render import RENDERERS
from satl.report.summary import summary_of, write_summary
from satl.report.tables import result_tables
from satl.report.tuned import chosen_options


def write_report(experiment: Experiment, results: Path) -> None:
    """Write summary.csv, tables/ and figures/ into `results` (results/NAME) from its run folders.

    Files that an earlier report left in tables/ and figures/, and that this one does not make,
    are removed.

    Raises:
        UserError: no run is evaluated, or a run folder is of another config or damaged.
    """
    runs = evaluated_runs(experiment, results)
    base = Path(results)
    if not runs:
        raise UserError(f"{base}: no evaluated run to report on; train and evaluate one first")
    write_summary(summary_of(runs), base / "summary.csv")
    made = {base / "summary.csv"}
    for dataset in experiment.datasets:
        of_dataset = [run for run in runs if run.key.dataset == dataset]
        for table in result_tables(experiment, dataset, of_dataset):
            for suffix, render in RENDERERS.items():
                path = base / "tables" / f"{table.name}.{suffix}"
                write_text(path, render(table))
                made.add(path)
            path = base / "tables" / f"{table.name}-differences.csv"
            write_text(path, render_differences.csv(dataset, table.comparisons))
            made.add(path)
    if experiment.tune:
        path = base / "tables" / "tuned-options.csv"
        write_text(path, chosen_options(experiment, runs).to_csv(index=False))
        made.add(path)
    made.update(write_figures(experiment, runs, base / "figures"))
    for folder in (base / "tables", base / "figures"):
        for path in folder.iterdir():
            if path not in made:
                path.unlink()
