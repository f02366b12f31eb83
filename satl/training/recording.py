"""Writing the run folder of a finished run; `satl.runs.folder` reads it and says what is in it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from satl.core.errors import UserError
from satl.core.files import write_arrays, write_json, write_text, write_yaml, writing
from satl.runs import provenance
from satl.runs.fingerprint import Fingerprint, differences, recorded_fingerprint
from satl.training.context import RunSpec, TrainingContext
from satl.training.run import TrainingRun


def check_free(folder: Path, fingerprint: Fingerprint) -> None:
    """Raises UserError where `folder` holds another run than that of `fingerprint`."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder for the run with --run")
    recorded = recorded_fingerprint(folder)
    different = differences(recorded, fingerprint) if recorded else []
    if different:
        raise UserError(
            f"{folder} holds another run ({different[0]}); remove it, or name another folder"
        )


def write_run_folder(
    folder: Path,
    spec: RunSpec,
    shared: TrainingContext,
    run: TrainingRun,
    config: dict[str, Any],
    fingerprint: Fingerprint,
    started: str,
) -> None:
    """Write the files of a finished run (satl.runs.folder) to `folder`; run.json comes last."""
    epochs = run.history.arrays()
    evaluated = [epoch for epoch in epochs if shared.training.evaluates(epoch)]
    write_yaml(folder / "config.yaml", config)
    lines = [json.dumps(line) for line in run.history.metrics]
    write_text(folder / "metrics.jsonl", "\n".join(lines) + "\n")
    with writing(folder / "thresholds.parquet") as temporary:
        pd.concat(run.history.thresholds, ignore_index=True).to_parquet(temporary, index=False)
    categories = np.array(spec.observed.categories, dtype=np.str_)
    write_arrays(
        folder / "predictions.npz",
        **_by_part(shared, np.stack([epochs[epoch]["predicted_logits"] for epoch in evaluated])),
        epochs=np.array(evaluated),
        categories=categories,
    )
    write_arrays(
        folder / "training_scores.npz",
        pseudo_labels=np.stack([epoch["pseudo_labels"] for epoch in epochs.values()]),
        logits=epochs[max(epochs)]["train_logits"],
        epochs=np.array([*epochs]),
        image_ids=spec.observed.image_ids,
        categories=categories,
    )
    write_json(
        folder / "run.json",
        {
            "commit": provenance.commit(),
            "versions": provenance.versions(),
            **provenance.device_facts(shared.device),
            **_times(spec, shared, run),
            "fingerprint": fingerprint,
            "started": started,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def _by_part(shared: TrainingContext, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of predictions.npz from (E, N, C) logits of the images held out and the test's."""
    arrays, start = {}, 0
    for part, table in shared.predicted.items():
        stop = start + len(table.image_ids)
        prefix = "" if part == "test" else f"{part}_"
        arrays[f"{prefix}logits"] = predicted[:, start:stop]
        arrays[f"{prefix}image_ids"] = table.image_ids
        start = stop
    return arrays


def _times(spec: RunSpec, shared: TrainingContext, run: TrainingRun) -> dict[str, float]:
    """This run's share of its job's time, the whole of it, and training images per second."""
    lines = run.history.metrics
    seconds, job_seconds, test_seconds = (
        sum(line[key] for line in lines) for key in ("seconds", "job_seconds", "test_seconds")
    )
    images = shared.training.epochs * run.steps * shared.training.batch_size
    images = min(images, shared.training.epochs * len(spec.observed.file_names))
    return {
        "seconds": round(seconds, 3),
        "job_seconds": round(job_seconds, 3),
        "runs_in_job": max(line["runs_in_job"] for line in lines),
        "images_per_second": round(images / (seconds - test_seconds), 1),
    }
