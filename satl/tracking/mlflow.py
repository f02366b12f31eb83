"""Run folders as MLflow runs. MLflow only receives: nothing is ever read back from it.

This is the one module that imports mlflow; training, evaluation and reports do without.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from satl.config import Experiment, ratio_name
from satl.core.errors import UserError
from satl.core.files import writing
from satl.report.evaluated import Run, evaluated_runs
from satl.runs.fingerprint import flatten, name_of
from satl.runs.layout import MODEL_FILE

# Read while mlflow is imported: no usage reports, no handlers on the root logger, no bars.
os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    MLFLOW_CONFIGURE_LOGGING="false",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
)
# A mistyped server is given up after some 15 seconds; MLflow's own 7 retries take minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

for noisy in ("mlflow", "alembic"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

# Of what is logged, so that an unchanged run is not logged again.
CONTENT = "satl.content"
RUN_FILES = ("config.yaml", "metrics.jsonl", "metrics.json", "thresholds.parquet", "run.json")
RUN_ARTIFACTS = ("config.yaml", "thresholds.parquet", "metrics.json")
SQLITE = "sqlite:///"
CHUNK = {"metrics": 1000, "params": 100}  # the most that MLflow takes in one call


@dataclass(frozen=True)
class Entry:
    """One MLflow run to be: `artifacts` pairs each file with the folder it goes to."""

    name: str
    content: str
    artifacts: list[tuple[Path, str | None]]
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    started: int | None = None
    finished: int | None = None


def track(experiment: Experiment, results: Path, uri: str | None = None) -> dict[str, int]:
    """Log every evaluated run, and a run `report` with tables and figures, a data set.

    What is there already and unchanged stays as it is; a run whose folder has changed, or that
    a killed process left unfinished, is deleted and logged anew.

    Args:
        experiment: the experiment.
        results: its folder, results/NAME.
        uri: an MLflow store; by default mlflow.db beside the experiment's folder, in SQLite.
            With sqlite:///PATH, artifacts go to `mlartifacts` beside the database, and processes
            wait for each other.

    Returns:
        How many MLflow runs were "added", "unchanged" and "replaced".

    Raises:
        UserError: the store cannot be opened or written, or a run folder is of another config or
            damaged.
    """
    tracking_uri = uri or f"{SQLITE}{Path(results).parent / 'mlflow.db'}"
    runs = evaluated_runs(experiment, results)
    if not runs:
        raise UserError(f"{results}: no evaluated run to track; train and evaluate one first")
    counts = {"added": 0, "unchanged": 0, "replaced": 0}
    try:
        _update(experiment, results, runs, tracking_uri, counts)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{tracking_uri}: cannot be used as MLflow store: {reason}") from error
    return counts


def _update(
    experiment: Experiment, results: Path, runs: list[Run], uri: str, counts: dict[str, int]
) -> None:
    with _only_writer(uri):
        client = _open(uri)
        for dataset in dict.fromkeys(run.key.dataset for run in runs):
            where = _experiment_id(client, f"{experiment.name}/{dataset}", uri)
            entries = [_run_entry(run) for run in runs if run.key.dataset == dataset]
            entries += _report_entry(experiment, dataset, Path(results))
            present = _present(client, where)
            for entry in tqdm(entries, desc=f"MLflow {dataset}", unit="run"):
                counts[_bring_up_to_date(client, where, entry, present)] += 1


def _only_writer(tracking_uri: str) -> AbstractContextManager:
    """SQLite stores break when two processes create them at once; servers look after that."""
    if not tracking_uri.startswith(SQLITE):
        return nullcontext()
    database = Path(tracking_uri.removeprefix(SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{database}.lock")


def _open(tracking_uri: str) -> MlflowClient:
    database = Path(tracking_uri.removeprefix(SQLITE))
    if tracking_uri.startswith(SQLITE) and not database.exists():
        # Under another name first: MLflow can neither use nor mend a store that was half made
        # when the disk was full or the process was killed.
        with writing(database) as temporary:
            new = MlflowClient(f"{SQLITE}{temporary}")
            for experiment in new.search_experiments():  # an empty "Default", which only puzzles
                new.delete_experiment(experiment.experiment_id)
    return MlflowClient(tracking_uri)


def _experiment_id(client: MlflowClient, name: str, tracking_uri: str) -> str:
    """The MLflow experiment `name`, created if need be.

    MLflow keeps absolute artifact paths: after the folder of the store was moved they lead
    nowhere, so that the old experiment is put away and filled anew in the new place.
    """
    location = None
    if tracking_uri.startswith(SQLITE):
        store = Path(tracking_uri.removeprefix(SQLITE)).resolve().parent
        location = str(store / "mlartifacts" / name)
    found = client.get_experiment_by_name(name)
    if found and location and found.artifact_location != location:
        client.rename_experiment(found.experiment_id, f"{name} ({found.artifact_location})")
        client.delete_experiment(found.experiment_id)
        found = None
    if found and found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id if found else client.create_experiment(name, location)


def _present(client: MlflowClient, where: str) -> dict[str, list[MlflowRun]]:
    """The runs of an MLflow experiment by name."""
    by_name: dict[str, list[MlflowRun]] = {}
    token = None
    while True:
        page = client.search_runs([where], max_results=1000, page_token=token)
        for run in page:
            by_name.setdefault(run.info.run_name, []).append(run)
        token = page.token
        if not token:
            return by_name


def _bring_up_to_date(
    client: MlflowClient, where: str, entry: Entry, present: dict[str, list[MlflowRun]]
) -> str:
    """Make `entry` the only run of its name; returns what that took, a key of the counts."""
    found = present.get(entry.name, [])
    current = [
        run
        for run in found
        if run.info.status == "FINISHED" and run.data.tags.get(CONTENT) == entry.content
    ][:1]
    for run in found:
        if run not in current:
            client.delete_run(run.info.run_id)
    if current:
        return "unchanged"
    _log(client, where, entry)
    return "replaced" if found else "added"


def _log(client: MlflowClient, where: str, entry: Entry) -> None:
    """Log one run; it counts as RUNNING until the last line, and so as unfinished before."""
    tags = entry.tags | {CONTENT: entry.content}
    run = client.create_run(where, start_time=entry.started, tags=tags, run_name=entry.name)
    run_id = run.info.run_id
    params = [Param(name, value) for name, value in entry.params.items()]
    for start in range(0, len(params), CHUNK["params"]):
        client.log_batch(run_id, params=params[start : start + CHUNK["params"]])
    for start in range(0, len(entry.metrics), CHUNK["metrics"]):
        client.log_batch(run_id, metrics=entry.metrics[start : start + CHUNK["metrics"]])
    for path, folder in entry.artifacts:
        client.log_artifact(run_id, str(path), folder)
    client.set_terminated(run_id, end_time=entry.finished)


def _run_entry(run: Run) -> Entry:
    key, folder = run.key, run.folder.path
    model = (MODEL_FILE,) if (folder / MODEL_FILE).is_file() else ()
    sections = ("options", "training", "model", "observe")
    params = flatten({name: run.config[name] for name in sections if name in run.config})
    return Entry(
        name=f"{key.method} {key.known_part} {key.seed_part}",
        content=_content([folder / name for name in RUN_FILES + model]),
        artifacts=[(folder / name, None) for name in RUN_ARTIFACTS + model],
        tags={
            "dataset": key.dataset,
            "method": key.method,
            "known_ratio": ratio_name(key.known_ratio),
            "seed": str(key.seed),
            "commit": str(run.record["commit"]),
            "fingerprint": name_of(run.record["fingerprint"]),
            "run_folder": str(folder),
        },
        params={name: str(value) for name, value in params.items()},
        metrics=[*_epoch_metrics(run), *_final_metrics(run)],
        started=_milliseconds(run.record["started"]),
        finished=_milliseconds(run.record["finished"]),
    )


def _epoch_metrics(run: Run) -> Iterator[Metric]:
    """Losses, test mAP and quality of the pseudo-labels; step is the epoch."""
    lines = run.folder.epochs().to_dict("records") + run.metrics["epochs"]
    for line in lines:
        values = {name: value for name, value in line.items() if name != "epoch"}
        yield from _metrics(run, values, int(line["epoch"]))


def _final_metrics(run: Run) -> Iterator[Metric]:
    """`mAP`, … of the last epoch; `mAP_best_on_test`, … of the epoch that the test set chose."""
    for selection, chosen in run.metrics["selections"].items():
        suffix = "" if selection == "last" else f"_{selection}"
        values = {f"{name}{suffix}": v for name, v in chosen.items() if name != "epoch"}
        yield from _metrics(run, values, chosen["epoch"])


def _metrics(run: Run, values: dict[str, Any], epoch: int) -> Iterator[Metric]:
    """Those of `values` that are numbers."""
    time = _milliseconds(run.record["finished"])
    for name, value in values.items():
        if pd.notna(value):
            yield Metric(name, float(value), time, epoch)


def _report_entry(experiment: Experiment, dataset: str, results: Path) -> list[Entry]:
    """Tables and figures of the data set as one entry; none before they are made."""
    names = experiment.tables(dataset)
    tables = sorted(path for path in (results / "tables").glob("*.*") if path.stem in names)
    index = results / "figures" / "index.json"
    figures = json.loads(index.read_text(encoding="utf-8"))["figures"] if index.is_file() else []
    paths = [index.with_name(f["file"]) for f in figures if f["dataset"] == dataset]
    artifacts: list[tuple[Path, str | None]] = [
        *((path, "tables") for path in tables),
        *((path, "figures") for path in paths),
    ]
    if not artifacts:
        return []
    content = _content([path for path, _ in artifacts])
    tags = {"dataset": dataset, "run_folder": str(results)}
    return [Entry("report", content, artifacts, tags)]


def _content(paths: list[Path]) -> str:
    """A digest of names and contents."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)
