"""Writing the run folder of a finished run; `satl.runs.folder` reads it and says what is in it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from satl.core.errors import UserError
from satl.core.files import (
    digest,
    link_files,
    read_yaml,
    write_arrays,
    write_json,
    write_text,
    write_yaml,
    writing,
)
from satl.runs import provenance
from satl.runs.codehash import training_code
from satl.runs.folder import TRAIN_FILES, RunFolder, RunKey
from satl.training.context import RunSpec, Shared, what_counts
from satl.training.run import TrainingRun


def check_ownership(folder: Path, config: dict[str, Any]) -> None:
    """Raises UserError where `folder` holds a run of another configuration than `config`."""
    path = folder / "config.yaml"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder for the run with --out")
    if not path.is_file():
        return
    config, found = what_counts(config), what_counts(read_yaml(path))
    differing = [k for k in (*config, *found) if config.get(k) != found.get(k)]
    if differing:
        key = differing[0]
        raise UserError(
            f"{folder} holds a run of another config ({key}: {found.get(key)!r} there, "
            f"{config.get(key)!r} here); remove it, or choose another --out"
        )


def write_run_folder(
    spec: RunSpec,
    shared: Shared,
    run: TrainingRun,
    config: dict[str, Any],
    identity: str,
    started: str,
) -> None:
    """Write the files of a finished run (satl.runs.folder); run.json comes last."""
    folder, epochs = spec.folder, run.history.arrays()
    write_yaml(folder / "config.yaml", config)
    lines = [json.dumps(line) for line in run.history.metrics]
    write_text(folder / "metrics.jsonl", "\n".join(lines) + "\n")
    with writing(folder / "thresholds.parquet") as temporary:
        pd.concat(run.history.thresholds, ignore_index=True).to_parquet(temporary, index=False)
    categories = np.array(spec.observed.categories, dtype=np.str_)
    write_arrays(
        folder / "predictions.npz",
        logits=np.stack([epoch["test_logits"] for epoch in epochs]),
        image_ids=shared.test.image_ids,
        categories=categories,
    )
    write_arrays(
        folder / "training_scores.npz",
        pseudo_labels=np.stack([epoch["pseudo_labels"] for epoch in epochs]),
        logits=epochs[-1]["train_logits"],
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
            "config_hash": digest(config),
            "identity": identity,
            "code_hash": training_code(spec.method),
            "started": started,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def _times(spec: RunSpec, shared: Shared, run: TrainingRun) -> dict[str, float]:
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


def take_over(run: RunSpec, identity: str, finished: Path | None) -> bool:
    """Whether `finished` has this very run; if so, its training files become the run folder.

    Args:
        run: wanted.
        identity: from `satl.training.context.run_identity`.
        finished: a folder of runs, results/NAME/runs, or none.
    """
    if finished is None:
        return False
    info = run.observed.info
    key = RunKey(run.dataset, run.variant, info["known_ratio"], info["seed"])
    found = key.folder(finished.parent)
    if not all((found / name).is_file() for name in TRAIN_FILES):
        return False
    if RunFolder(found).run().get("identity") != identity:
        return False
    link_files(found, run.folder, TRAIN_FILES)
    print(f"{run.title}: taken over from {found}, where it has been trained before")
    return True
