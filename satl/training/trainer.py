"""The one training loop: runs side by side behind one frozen backbone."""

import time
from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from satl.config import Training
from satl.core.errors import UserError
from satl.data.images.batches import training_order
from satl.training.features import FeatureSource
from satl.training.run import Diverged, TrainingRun
from satl.training.stopping import Stopped, StopRequest

CHECKPOINT_SECONDS = 600
# An epoch that has ended is saved soon, but not every few seconds.
EPOCH_CHECKPOINT_SECONDS = 10
# How often losses are checked: each check makes the device's queue run dry.
STEPS_BETWEEN_CHECKS = 50


class Trainer:
    """The runs of one training job, and the feature maps that they are all fed with.

    `runs` are those that are still healthy. A run that diverges leaves it once and for all, and
    the others continue; `failures` says why.

    Args:
        training: the protocol.
        features: of training and test images.
        runs: to be trained; each may be at another epoch and step, after a kill.
        images: how many training images there are.
        seed: of their order.
    """

    def __init__(
        self,
        training: Training,
        features: FeatureSource,
        runs: Sequence[TrainingRun],
        images: int,
        seed: int,
    ) -> None:
        self.training, self.images, self.seed = training, images, seed
        self.features = features
        self.runs = list(runs)
        self.failures: list[UserError] = []
        self.last_save = time.monotonic()

    def run(self, stop: StopRequest) -> None:
        """Train all runs to the end, or until none is healthy.

        Raises:
            Stopped: `stop` asked for it; checkpoints are saved.
            UserError: an image cannot be read, or the GPU's memory is too small.
        """
        try:
            while epochs := [run.epoch for run in self.runs if run.epoch < self.training.epochs]:
                # After a kill some runs may have saved an epoch that others have not.
                self._train_epoch(min(epochs), stop)
                self._end_epoch(min(epochs), stop)
        except torch.OutOfMemoryError as error:
            raise self._out_of_memory(error) from error
        except RuntimeError:
            # What ended the job may have killed workers first: that must not hide the signal.
            if stop.signal is not None:
                raise Stopped(stop.signal, self._save_all()) from None
            raise

    def _train_epoch(self, epoch: int, stop: StopRequest) -> None:
        order = epoch_order(self.training, self.images, self.seed, epoch)
        device = self.runs[0].device
        rows = torch.tensor([*chain(*order)], device=device).split([*map(len, order)])
        first = min(run.step for run in self._at(epoch))
        title = f"epoch {epoch + 1}/{self.training.epochs}"
        bar = tqdm(total=len(order), initial=first, desc=title, unit="batch", mininterval=1)
        start = time.perf_counter()
        with bar:
            for step, views in enumerate(self.features.training(epoch, order[first:]), first):
                for run in self._at(epoch):
                    if run.step == step:
                        strong = (views.strong,) if run.strong_view else ()
                        run.train_step(views.weak, rows[step], *strong)
                start = self._book_time(epoch, start)
                bar.update()
                if step % STEPS_BETWEEN_CHECKS == STEPS_BETWEEN_CHECKS - 1:
                    for run in self._at(epoch):
                        self._drop_if_diverged(run, run.check_finite)
                self._pause_point(stop)
                if not self._at(epoch):
                    break

    def _at(self, epoch: int) -> list[TrainingRun]:
        """The healthy runs that are in `epoch`; a copy, as runs may be dropped meanwhile."""
        return [run for run in self.runs if run.epoch == epoch]

    def _book_time(self, epoch: int, start: float, testing: bool = False) -> float:
        """Book the time since `start` to the runs that it was spent on; returns the time now."""
        now, runs = time.perf_counter(), self._at(epoch)
        for run in runs:
            run.times.book(now - start, len(runs), testing)
        return now

    def _drop_if_diverged(self, run: TrainingRun, action: Callable[..., None], *values) -> None:
        try:
            action(*values)
        except Diverged as error:
            tqdm.write(f"dropped: {error}")
            self.failures.append(error)
            self.runs.remove(run)

    def _pause_point(self, stop: StopRequest) -> None:
        """Save checkpoints where it is time to, and stop where that is asked for."""
        if not all(run.can_be_saved for run in self.runs):
            return
        ended = any(run.history.unwritten for run in self.runs)  # those who watch wait for it
        wait = EPOCH_CHECKPOINT_SECONDS if ended else CHECKPOINT_SECONDS
        due = time.monotonic() - self.last_save >= wait
        if stop.signal is not None:
            raise Stopped(stop.signal, self._save_all())
        if due:
            self._save_all()

    def _save_all(self) -> list[str]:
        """Save every run that is in training; gives the names of those that cannot be saved.

        A full disk, say, is no reason to stop: the next save may succeed.
        """
        unsaved = []
        for run in list(self.runs):
            if run.epoch < self.training.epochs or run.history.unwritten:
                unsaved += [] if self.save(run) else [run.name]
        self.last_save = time.monotonic()
        return unsaved

    def save(self, run: TrainingRun) -> bool:
        """Save a checkpoint of `run`, or warn; whether it is saved."""
        if not run.can_be_saved:
            return False
        try:
            self._drop_if_diverged(run, run.save)
        except (UserError, torch.OutOfMemoryError) as error:
            tqdm.write(f"warning: {run.name}: no checkpoint for now: {error}")
            return False
        return run in self.runs

    def _end_epoch(self, epoch: int, stop: StopRequest) -> None:
        evaluated = self.training.evaluates(epoch + 1)
        predicted = self._predict(epoch, stop) if evaluated else dict.fromkeys(self._at(epoch))
        for run, logits in predicted.items():
            self._drop_if_diverged(run, run.end_epoch, logits)
        if time.monotonic() - self.last_save >= EPOCH_CHECKPOINT_SECONDS:
            self._save_all()

    def _predict(self, epoch: int, stop: StopRequest) -> dict[TrainingRun, np.ndarray]:
        """The (N, C) logits of each healthy run in `epoch`, of the images that it is tried on."""
        parts: dict[TrainingRun, list[Tensor]] = {run: [] for run in self._at(epoch)}
        start = time.perf_counter()
        for features in self.features.predicted() if parts else ():
            for run in self._at(epoch):
                parts[run].append(run.predict(features))
            start = self._book_time(epoch, start, testing=True)
            self._pause_point(stop)
            if not self._at(epoch):
                break
        return {run: torch.cat(parts[run]).cpu().numpy() for run in self._at(epoch)}

    def _out_of_memory(self, error: torch.OutOfMemoryError) -> UserError:
        earlier = self._save_all()
        saved = "Checkpoints are saved."
        if earlier:
            saved = f"{', '.join(earlier)} will resume from an earlier checkpoint."
        return UserError(
            f"the GPU's memory is too small for {len(self.runs)} runs of batch size "
            f"{self.training.batch_size} at precision {self.training.precision} "
            f"({str(error).splitlines()[0]}). Lower runs_per_job, or, where results may change, "
            f"training.batch_size, or set training.precision to bf16. {saved}"
        )


def epoch_order(training: Training, images: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch, as rows of the table."""
    return training_order(images, training.batch_size, training.drop_last, seed, epoch)
