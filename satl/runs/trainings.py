"""Trainings of an experiment as others than their own process see them. Imports no array code.

A training in the store (satl.runs.store) has, for each epoch that is saved, a file
`checkpoint/epoch-NNNN.npz` with pseudo_labels, train_logits, predicted_logits where the epoch is
evaluated (training.eval_every), and, for those who watch, `metrics` (the epoch's line of
metrics.jsonl, as text) and the THRESHOLDS. A finished training has the files of a run folder in
their place.
"""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

from satl.config import Experiment
from satl.core.locks import holder
from satl.runs.fingerprint import asked_settings, differences
from satl.runs.layout import TRAIN_FILES, RunKey

SECONDS = 2  # between two looks for a training
THRESHOLDS = ("tau_pos", "tau_neg")  # columns of thresholds.parquet, as arrays (C,) of one epoch


def epoch_file(checkpoint: Path, epoch: int) -> Path:
    """Where an epoch, from 1, is saved."""
    return checkpoint / f"epoch-{epoch:04d}.npz"


def epoch_files(checkpoint: Path) -> dict[int, Path]:
    """The epochs that are saved, by number, from 1."""
    files = sorted(checkpoint.glob("epoch-*.npz"))
    return {int(file.stem.removeprefix("epoch-")): file for file in files}


def is_finished(training: Path) -> bool:
    """Whether a training in the store has been trained to the end."""
    return all((training / name).is_file() for name in TRAIN_FILES)


def trainer_of(training: Path) -> str | None:
    """Which process trains it, as far as its lock tells: 'process 12 on HOST', or None."""
    return None if is_finished(training) else holder(training / "checkpoint" / ".lock")


def is_of_this_machine(process: str) -> bool:
    """Whether `trainer_of` is certain: of another machine it says who was there last."""
    return process.endswith(f" on {socket.gethostname()}")


def training_of(experiment: Experiment, results: Path, key: RunKey) -> Path | None:
    """Where a run is being trained or has been, with the settings that the experiment asks for.

    Of several, by other code, say, that which is in training counts, then one that is finished,
    then the newest.
    """
    found = []
    for record in key.within(results / "trained").glob("*/fingerprint.json"):
        fingerprint = json.loads(record.read_text(encoding="utf-8"))
        if not differences(fingerprint, asked_settings(experiment, key)):
            folder, age = record.parent, record.stat().st_mtime
            found.append((trainer_of(folder) is not None, is_finished(folder), age, folder))
    return max(found)[-1] if found else None


def wait_for_training(results: Path) -> bool:
    """Wait until any run is in training; False where the workflow there ends before, or is none.

    Args:
        results: the folder of the experiment, results/NAME.
    """
    is_at_work = workflow_at_work(results)
    while is_at_work():
        if any(map(trainer_of, Path(results, "trained").glob("*/*/*/*/*"))):
            return True
        time.sleep(SECONDS)
    return False


def workflow_at_work(results: Path) -> Callable[[], bool]:
    """Tells, whenever it is called, whether the workflow that is at work in `results` now still is.

    If there is none, or another one later, it is not.
    """
    lock = Path(results, ".lock")
    workflow = holder(lock)
    return lambda: workflow is not None and holder(lock) == workflow
