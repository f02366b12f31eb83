"""What there is to log of the runs of an experiment: all of it, or as far as they are."""

import time
from collections.abc import Hashable
from pathlib import Path

from satl.config import Experiment
from satl.core.errors import UserError
from satl.runs.evaluated import read_run
from satl.runs.folder import RunFolder, run_keys
from satl.runs.layout import RunKey
from satl.runs.progress import Progress, State, progress_of
from satl.runs.trainings import (
    epoch_files,
    is_finished,
    is_of_this_machine,
    trainer_of,
    training_of,
)
from satl.tracking.mlflow.entries import FAILED, FINISHED, KILLED, RUNNING
from satl.tracking.mlflow.epochs import EpochReader
from satl.tracking.mlflow.parents import Child
from satl.tracking.mlflow.runs import evaluated_entry, training_entry

PROGRESS_SECONDS = 60  # for so long what logs say is not asked again


class Watcher:
    """Looks at the files of an experiment, and remembers what it has seen.

    Args:
        experiment: the experiment.
        results: its folder, results/NAME.

    Attributes:
        errors: of the last look: what cannot be read, or is of another config.
    """

    def __init__(self, experiment: Experiment, results: Path) -> None:
        self.experiment, self.results = experiment, Path(results)
        self.errors: dict[RunKey, UserError] = {}
        self._seen: dict[RunKey, tuple[Hashable, Child]] = {}
        self._epochs = EpochReader(self.results)
        self._progress: tuple[float, Progress] | None = None

    def look(self) -> dict[RunKey, Child]:
        """The runs of which there is anything; an unchanged run is the same object as before."""
        self.errors, found = {}, {}
        for key in run_keys(self.experiment):
            child = self._look_at(key)
            if child:
                found[key] = child
        return found

    def _look_at(self, key: RunKey) -> Child | None:
        training = training_of(self.experiment, self.results, key)
        status = self._status(key, training) if training else None
        try:
            evaluated = None if status == RUNNING else self._evaluated(key)
        except UserError as error:
            self.errors[key], evaluated = error, None
        if evaluated or training is None or status is None:
            return evaluated
        try:
            return self._trained(key, training, status)
        except FileNotFoundError:  # it has just been finished; there will be another look
            return self._seen[key][1] if key in self._seen else None
        except UserError as error:
            self.errors[key] = error
            return None

    def _evaluated(self, key: RunKey) -> Child | None:
        """An evaluated run. Raises UserError where its folder is damaged or of another config."""
        folder = RunFolder(key.folder(self.results))
        if not folder.is_evaluated():
            return None
        sign = (folder.path / "metrics.json").stat().st_mtime_ns
        if not self._is_seen(key, sign):
            run = read_run(self.experiment, key, folder)
            score = run.metrics["selections"]["last"]["mAP"]
            entry = evaluated_entry(self.experiment, run, self.results)
            self._seen[key] = sign, Child(entry, score)
        return self._seen[key][1]

    def _trained(self, key: RunKey, training: Path, status: str) -> Child:
        """A training in the store, as far as it is."""
        sign = (training, status, *epoch_files(training / "checkpoint"))
        if not self._is_seen(key, sign):
            epochs = self._epochs.read(key.dataset, training)
            entry = training_entry(self.experiment, key, self.results, training, status, epochs)
            scores = [point.value for point in epochs if point.name == "test_mAP"]
            score = scores[-1] if scores and status == FINISHED else None
            self._seen[key] = sign, Child(entry, score)
        return self._seen[key][1]

    def _is_seen(self, key: RunKey, sign: Hashable) -> bool:
        return key in self._seen and self._seen[key][0] == sign

    def _status(self, key: RunKey, training: Path) -> str:
        """That of a training in the store, in MLflow's words."""
        if is_finished(training):
            return FINISHED
        trainer = trainer_of(training)
        if trainer and is_of_this_machine(trainer):
            return RUNNING
        state = self._states()[key]
        if trainer and state == State.RUNNING:
            return RUNNING
        return FAILED if state == State.FAILED else KILLED

    def _states(self) -> dict[RunKey, State]:
        now = time.monotonic()
        if self._progress is None or now - self._progress[0] > PROGRESS_SECONDS:
            self._progress = now, progress_of(self.experiment, self.results)
        return self._progress[1].states
