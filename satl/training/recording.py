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
from satl.training.context import RunSpec, Shared
from satl.training.lane import Lane


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
    run: RunSpec,
    shared: Shared,
    lane: Lane,
    config: dict[str, Any],
    fingerprint: Fingerprint,
    started: str,
) -> None:
    """Write the files of a finished run (satl.runs.folder) to `folder`; run.json comes last."""
    epochs = lane.epoch_arrays()
    write_yaml(folder / "config.yaml", config)
    lines = [json.dumps(line) for line in lane.metrics]
    write_text(folder / "metrics.jsonl", "\n".join(lines) + "\n")
    with writing(folder / "thresholds.parquet") as temporary:
        pd.concat(lane.thresholds, ignore_index=True).to_parquet(temporary, index=False)
    categories = np.array(run.observed.categories, dtype=np.str_)
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
        image_ids=run.observed.image_ids,
        categories=categories,
    )
    seconds = sum(line["seconds"] for line in lane.metrics)
    images = shared.training.epochs * len(run.observed.file_names)
    write_json(
        folder / "run.json",
        {
            "commit": provenance.commit(),
            "versions": provenance.versions(),
            "device": provenance.device_name(shared.device),
            "seconds": round(seconds, 3),
            "images_per_second": round(images / seconds, 1),
            "fingerprint": fingerprint,
            "started": started,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
