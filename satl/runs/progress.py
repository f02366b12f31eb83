"""How far the runs of an experiment are, from the files that they leave. Imports no array code."""

import time
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from statistics import median

from satl.config import Experiment
from satl.core.locks import holder
from satl.runs.joblog import JobLog, error_in, read_job_log
from satl.runs.layout import RunKey, TrainingJob, training_jobs
from satl.runs.trainings import epoch_files

# Without a sign for so many seconds, a job is taken to have ended: a test of many images writes
# nothing for minutes. Where no workflow is at work, its jobs are not either.
QUIET, QUIET_ALONE = 900, 120


class State(StrEnum):
    """What a run is waiting for, or why it no longer is."""

    DONE = "done"
    RUNNING = "running"
    TRAINED = "trained"
    STOPPED = "stopped"
    FAILED = "failed"
    WAITING = "waiting"


@dataclass(frozen=True)
class JobProgress:
    """A training job and its runs.

    Attributes:
        job: the job.
        states: of its runs.
        reasons: why runs failed.
        epochs: done, with the share of the one that it is in; None where none has begun.
        seconds_left: until it is trained; None where this cannot be told.
        log: of training, where there is one.
    """

    job: TrainingJob
    states: dict[RunKey, State]
    reasons: dict[RunKey, str]
    epochs: float | None
    seconds_left: float | None
    log: Path | None

    def runs(self, state: str) -> list[RunKey]:
        """The runs in one state."""
        return [key for key, found in self.states.items() if found == state]


@dataclass(frozen=True)
class Progress:
    """An experiment: its training jobs, and what went wrong before any training, by log."""

    jobs: list[JobProgress]
    preparation_errors: dict[Path, str]
    workflow: str | None

    @property
    def states(self) -> dict[RunKey, State]:
        """Of all runs."""
        return {key: state for job in self.jobs for key, state in job.states.items()}


def progress_of(experiment: Experiment, results: Path, now: float | None = None) -> Progress:
    """How far `experiment` is.

    Args:
        experiment: the experiment.
        results: its folder, results/NAME.
        now: seconds since the epoch; the time now.
    """
    if now is None:
        now = time.time()  # noqa: TID251 (files bear the time of this clock)
    workflow = holder(results / ".lock")
    quiet = QUIET if workflow else QUIET_ALONE
    total = experiment.training.epochs
    jobs = [_job(job, results, total, now - quiet) for job in training_jobs(experiment)]
    return Progress(jobs, _preparation_errors(results / "logs"), workflow)


def _job(job: TrainingJob, results: Path, total: int, since: float) -> JobProgress:
    path = job.log(results, "train")
    log = read_job_log(path) if path.is_file() else JobLog()
    checkpoints = {key: _checkpoint(results, key) for key in job.runs}
    lives = not (log.error or log.stopped) and _last_sign(path, checkpoints) > since
    trained = {key for key in job.runs if _is_trained(job, results, key, lives or bool(log.error))}
    reasons = {}
    if not lives:
        evaluation = _error_of(job.log(results, "evaluate"))
        reasons = {key: evaluation if key in trained else _why(key, log) for key in job.runs}
    states = {}
    for key in job.runs:
        if lives and checkpoints[key]:
            states[key] = State.RUNNING
        elif (key.folder(results) / "metrics.json").is_file():
            states[key] = State.DONE
        elif reasons.get(key):
            states[key] = State.FAILED
        elif key in trained:
            states[key] = State.TRAINED
        else:
            states[key] = State.WAITING if log.epochs is None else State.STOPPED
    failures = {key: why for key, why in reasons.items() if why and states[key] == State.FAILED}
    left = _seconds_left(log, checkpoints, total) if State.RUNNING in states.values() else None
    return JobProgress(job, states, failures, log.epochs, left, path if path.is_file() else None)


def _is_trained(job: TrainingJob, results: Path, key: RunKey, unfinished: bool) -> bool:
    """Whether the job has handed the run on; of an `unfinished` job the store keeps it."""
    handed_on = (job.run_folder(results, key) / "run.json").is_file()
    return handed_on or (unfinished and any(key.within(results / "trained").glob("*/run.json")))


def _why(key: RunKey, log: JobLog) -> str | None:
    """Why the training of a run failed: it diverged, or its job failed."""
    title = f"{key.method} {key.known_part}: "  # as RunSpec.title
    own = (text.removeprefix(title) for text in log.dropped if text.startswith(title))
    return next(own, log.error)


def _seconds_left(
    log: JobLog, checkpoints: dict[RunKey, list[tuple[int, float]]], total: int
) -> float | None:
    """By the times of saved epochs, which tests are part of; else by the training batches."""
    by_run = map(_seconds_per_epoch, checkpoints.values())
    per_epoch = next(filter(None, by_run), log.seconds_per_epoch)
    if per_epoch is None or log.epochs is None:
        return None
    return (total - log.epochs) * per_epoch


def _checkpoint(results: Path, key: RunKey) -> list[tuple[int, float]]:
    """The epochs that are saved of a run in training, and when they were, the first one first.

    (0, time of its record) stands for the start.
    """
    found = []
    for record in key.within(results / "trained").glob("*/fingerprint.json"):
        if (record.parent / "run.json").is_file():
            continue
        found.append((0, record.stat().st_mtime))
        for epoch, file in epoch_files(record.parent / "checkpoint").items():
            found.append((epoch, file.stat().st_mtime))
    return sorted(found)


def _last_sign(log: Path, checkpoints: dict[RunKey, list[tuple[int, float]]]) -> float:
    times = [when for saved in checkpoints.values() for _, when in saved]
    if log.is_file():
        times.append(log.stat().st_mtime)
    return max(times, default=0.0)


def _seconds_per_epoch(saved: list[tuple[int, float]]) -> float | None:
    """The median, which a pause between two epochs does not move; several may be saved at once."""
    moments = {round(when): epoch for epoch, when in saved}
    pairs = list(pairwise(sorted((epoch, when) for when, epoch in moments.items())))
    return median((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs) if pairs else None


def _preparation_errors(logs: Path) -> dict[Path, str]:
    """What the commands before training say, by log."""
    found = {}
    for path in sorted(logs.rglob("*.log")):
        if path.relative_to(logs).parts[0] not in ("train", "evaluate"):
            error = _error_of(path)
            if error:
                found[path] = error
    return found


def _error_of(log: Path) -> str | None:
    return error_in(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else None
