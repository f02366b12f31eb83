"""Tables, figures and page as an entry, and the description of the MLflow experiment."""

import json
from pathlib import Path

from mlflow import MlflowClient
from mlflow.utils.validation import MAX_EXPERIMENT_TAG_VAL_LENGTH

from satl.config import Experiment
from satl.tracking.mlflow.entries import Entry
from satl.tracking.mlflow.views import TITLES, link

MLFLOW_EXPERIMENT_NOTE = "mlflow.note.content"


def report_entry(experiment: Experiment, dataset: str, results: Path) -> list[Entry]:
    """Tables, figures and page of a data set as one entry; none before they are made."""
    names = experiment.tables(dataset)
    tables = sorted(path for path in (results / "tables").glob("*.*") if path.stem in names)
    index = results / "figures" / "index.json"
    figures = json.loads(index.read_text(encoding="utf-8"))["figures"] if index.is_file() else []
    paths = [index.with_name(f["file"]) for f in figures if f["dataset"] == dataset]
    page = results / "index.html"
    artifacts: list[tuple[Path, str | None]] = [
        *([(page, None)] if page.is_file() else []),
        *((path, "tables") for path in tables),
        *((path, "figures") for path in paths),
    ]
    if not artifacts:
        return []
    tags = {
        "dataset": dataset,
        "run_folder": str(results),
        "mlflow.source.name": "satl report",
        "mlflow.source.type": "LOCAL",
    }
    return [Entry("report", "report", tags=tags, artifacts=artifacts)]


def describe(
    client: MlflowClient, number: str, experiment: Experiment, dataset: str, results: Path
) -> None:
    """Say above the runs of a data set, in Markdown, what they show: links and the result table."""
    links = " · ".join(f"[{title}]({link(number, view)})" for view, title in TITLES.items())
    table = results / "tables" / f"{next(iter(experiment.tables(dataset)))}.md"
    text = f"{links}\n\n{table.read_text(encoding='utf-8') if table.is_file() else ''}"
    if len(text) > MAX_EXPERIMENT_TAG_VAL_LENGTH:
        text = f"{links}\n\nThe result table is too long for this place: see the run `report`.\n"
    client.set_experiment_tag(number, MLFLOW_EXPERIMENT_NOTE, text)
