"""Single runs as entries: whole ones of evaluated run folders, the others as far as they are."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from satl.config import Experiment, ratio_name
from satl.core.places import METHODS, ROOT
from satl.data.table import LabelTable
from satl.runs.evaluated import Run
from satl.runs.fingerprint import flatten, name_of
from satl.runs.layout import MODEL_FILE, RunKey
from satl.tracking.mlflow.entries import RUNNING, Entry, Point, milliseconds, points

ARTIFACTS = ("config.yaml", "thresholds.parquet", "metrics.json")  # and a model, if one is kept
# Shown whether they differ from their defaults or not.
MAIN_SETTINGS = {"model": ("backbone",), "training": ("epochs", "batch_size", "learning_rate")}


def run_name(key: RunKey) -> str:
    """What MLflow calls a run."""
    return f"{key.method} {key.known_part} {key.seed_part}"


def parent_name(key: RunKey) -> str:
    """What MLflow calls the runs of a method with one seed, as one."""
    return f"{key.method} {key.seed_part}"


def names_like(key: RunKey) -> str:
    """A pattern, as of SQL's LIKE, that fits the names of all runs of a method and seed, and of
    their parent.
    """
    return f"{key.method} %{key.seed_part}"


def described(experiment: Experiment, key: RunKey, results: Path) -> Entry:
    """A run of which nothing is known but what the experiment file says."""
    return Entry(
        run_name(key),
        "run",
        parent=parent_name(key),
        tags={
            **method_tags(experiment, key),
            "known_ratio": ratio_name(key.known_ratio),
            "run_folder": str(key.folder(results)),
        },
        params={"known_ratio": ratio_name(key.known_ratio), **method_params(experiment, key)},
    )


def method_tags(experiment: Experiment, key: RunKey) -> dict[str, str]:
    """To search by; and the file of the method, which MLflow's column "Source" shows."""
    file = METHODS[experiment.trained[key.method].method].relative_to(ROOT)
    return {
        "dataset": key.dataset,
        "method": key.method,
        "seed": str(key.seed),
        "mlflow.source.name": str(file),
        "mlflow.source.type": "LOCAL",
    }


def method_params(experiment: Experiment, key: RunKey) -> dict[str, str]:
    """What differs: between the runs of an experiment, and from the defaults of settings."""
    sections = {"model": experiment.model, "training": experiment.training_of(key.method)}
    given = {
        name: section.model_dump(mode="json", exclude_defaults=True)
        | section.model_dump(mode="json", include=set(MAIN_SETTINGS[name]))
        for name, section in sections.items()
    }
    options = {"options": experiment.trained[key.method].options}
    params = {"method": key.method, "seed": key.seed, **flatten(options), **flatten(given)}
    return {name: str(value) for name, value in params.items()}


def evaluated_entry(experiment: Experiment, run: Run, results: Path) -> Entry:
    """All of an evaluated run."""
    entry = described(experiment, run.key, results)
    commit = str(run.record["commit"])
    files = [run.folder.path / name for name in (*ARTIFACTS, MODEL_FILE)]
    return replace(
        entry,
        tags={
            **entry.tags,
            "commit": commit,
            "mlflow.source.git.commit": commit,
            "fingerprint": name_of(run.record["fingerprint"]),
        },
        points=[*_epoch_points(run), *_final_points(run)],
        datasets={mask_file(run.key, results): run.config["split"]["mask_sha256"][:8]},
        artifacts=[(file, None) for file in files if file.is_file()],
        started=milliseconds(run.record["started"]),
        ended=milliseconds(run.record["finished"]),
    )


def training_entry(
    experiment: Experiment,
    key: RunKey,
    results: Path,
    training: Path,
    status: str,
    epochs: list[Point],
) -> Entry:
    """A run as far as it is; `epochs` are all that its `training` in the store has saved."""
    file = mask_file(key, results)
    masks = {}
    if Path(file).is_file():
        masks = {file: LabelTable.load(Path(file)).info["mask_sha256"][:8]}
    last = max((point.time for point in epochs), default=None)
    return replace(
        described(experiment, key, results),
        status=status,
        complete=False,
        points=epochs,
        datasets=masks,
        started=int(1000 * (training / "fingerprint.json").stat().st_mtime),
        ended=None if status == RUNNING else last,
    )


def mask_file(key: RunKey, results: Path) -> str:
    """The partially labelled table that a run is trained on."""
    return str(Path(results, "data", key.dataset, f"{key.known_part}.npz"))


def _epoch_points(run: Run) -> Iterator[Point]:
    """Losses, test mAP, thresholds and quality of the pseudo-labels; step is the epoch."""
    lines = run.folder.epoch_lines() + run.metrics["epochs"]
    time = milliseconds(run.record["finished"])
    for line in lines:
        values = {name: value for name, value in line.items() if name != "epoch"}
        yield from points(values, int(line["epoch"]), time)
    for epoch, rows in run.folder.thresholds().groupby("epoch"):
        yield from points(threshold_values(rows), int(str(epoch)), time)


def _final_points(run: Run) -> Iterator[Point]:
    """`mAP`, … of the last epoch; `mAP_best_on_test`, … of the epoch that the test set chose."""
    for selection, chosen in run.metrics["selections"].items():
        suffix = "" if selection == "last" else f"_{selection}"
        values = {f"{name}{suffix}": v for name, v in chosen.items() if name != "epoch"}
        yield from points(values, chosen["epoch"], milliseconds(run.record["finished"]))


def threshold_values(rows: pd.DataFrame) -> dict[str, float]:
    """Median and interquartile range over the categories whose threshold is finite, in logits.

    Args:
        rows: one epoch of thresholds.parquet.
    """
    values: dict[str, float] = {}
    for name in ("tau_pos", "tau_neg"):
        finite = rows[name][np.isfinite(rows[name].astype(float))]
        if len(finite):
            low, middle, high = np.quantile(finite, [0.25, 0.5, 0.75])
            values |= {f"{name}_median": float(middle), f"{name}_spread": float(high - low)}
    return values
