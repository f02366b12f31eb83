"""What the page knows of an experiment, as JSON: a dictionary per part, see the modules beside."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.colors import to_hex

from satl.config import Experiment, ratio_name
from satl.report.page.comparisons import table_data
from satl.report.page.courses import courses, score_distributions, threshold_courses
from satl.report.page.records import records
from satl.report.plot_pseudo import MEASURES
from satl.report.plot_scores import positive_counts
from satl.report.style import line_styles
from satl.report.table import Table
from satl.report.titles import commits, extent
from satl.runs.evaluated import Run
from satl.runs.layout import run_keys


def page_data(
    experiment: Experiment,
    runs: list[Run],
    tables: Mapping[str, list[Table]],
    files: Sequence[str],
) -> dict[str, Any]:
    """All that the page shows; numbers rounded, in columns, None where there is none.

    Args:
        experiment: the experiment.
        runs: its evaluated runs.
        tables: of each data set.
        files: to link to, relative to the page.
    """
    styles = line_styles(list(experiment.methods))
    return {
        "name": experiment.name,
        "extent": extent(len(runs), len(run_keys(experiment))),
        "commits": commits(runs),
        "methods": {name: to_hex(style["color"]) for name, style in styles.items()},
        "seeds": experiment.seeds,
        "measures": {name: text.replace("\n", " ") for name, text in MEASURES.items()},
        "datasets": {
            dataset: _dataset(experiment, dataset, runs, of_dataset)
            for dataset, of_dataset in tables.items()
        },
        "runs": records(experiment, runs),
        "files": [file for file in files if Path(file).suffix != ".json"],
    }


def _dataset(
    experiment: Experiment, dataset: str, all_runs: list[Run], tables: list[Table]
) -> dict[str, Any]:
    runs = [run for run in all_runs if run.key.dataset == dataset]
    if not runs:
        return {"known": [], "tables": []}
    counts = positive_counts(runs[0].folder.score_histogram())
    categories = list(map(str, counts.index))
    as_given = [run for run in runs if run.key.method in experiment.methods]  # trials aside
    first_seed = [run for run in as_given if run.key.seed == experiment.seeds[0]]
    return {
        "known": [ratio_name(known) for known in experiment.known(dataset)],
        "categories": categories,
        "positives": counts.tolist(),
        "tables": [table_data(experiment, table, runs, categories) for table in tables],
        "courses": courses(as_given),
        "thresholds": threshold_courses(first_seed, categories),
        "scores": score_distributions(first_seed, categories),
    }
