"""The one training loop: runs side by side behind one frozen backbone."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from satl.config import Training
from satl.core.errors import UserError
from satl.data.images.batches import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    Images,
    augmentation_draws,
    consecutive_order,
    normalise,
    open_images,
    training_order,
)
from satl.data.images.prefetch import prefetch
from satl.data.table import LabelTable
from satl.models.backbone import Backbone
from satl.training.context import Shared
from satl.training.precision import autocast
from satl.training.run import Diverged, TrainingRun
from satl.training.stopping import Stopped, StopRequest

# Features of the test images do not change while their stages are frozen; small ones are kept.
KEPT_FEATURES_BYTES = 256 * 2**20
CHECKPOINT_SECONDS = 600
# How often losses are checked: each check makes the device's queue run dry.
STEPS_BETWEEN_CHECKS = 50


class Trainer:
    """Frozen stages and image streams of one training job, and the runs that they feed.

    `runs` are those that are still healthy. A run that diverges leaves it once and for all, and
    the others go on; `failures` says why.

    Args:
        shared: what the runs have in common.
        backbone: its frozen stages are used.
        runs: to be trained; each may be at another epoch and step, after a kill.
        observed: a table of the training images.
        seed: of order and augmentation.
    """

    def __init__(
        self,
        shared: Shared,
        backbone: Backbone,
        runs: Sequence[TrainingRun],
        observed: LabelTable,
        seed: int,
    ) -> None:
        self.device, self.training, self.seed = shared.device, shared.training, seed
        self.runs = list(runs)
        self.failures: list[UserError] = []
        self.statistics = (backbone.mean, backbone.std)
        self.frozen = frozen_stages(backbone, self.training, self.device)
        training = self.training
        self.train_images = open_images(
            observed, training.resize, training.image_cache, shared.train_pixels, "train"
        )
        self.test_images = open_images(
            shared.test, training.image_size, training.image_cache, shared.test_pixels, "test"
        )
        self.augment = Augmentation(training.crop_scales, training.image_size, training.flip)
        self.kept_features: list[Tensor] | None = None
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
        order = epoch_order(self.training, len(self.train_images), self.seed, epoch)
        draws = augmentation_draws(len(self.train_images), self.seed, epoch)
        rows = torch.tensor([*chain(*order)], device=self.device).split([*map(len, order)])
        first = min(run.step for run in self._at(epoch))
        title = f"epoch {epoch + 1}/{self.training.epochs}"
        bar = tqdm(total=len(order), initial=first, desc=title, unit="batch", mininterval=1)
        start = time.perf_counter()
        with bar:
            for step, images in enumerate(self._batches(self.train_images, order[first:]), first):
                features = self._features(self.augment(images, draws[order[step]]))
                for run in self._at(epoch):
                    if run.step == step:
                        run.train_step(features, rows[step])
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

    def _batches(self, images: Images, order: list[list[int]]) -> Iterator[Tensor]:
        pinned = self.device.type == "cuda"
        return prefetch(images.batches(order, self.training.workers, pinned), self.device)

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
        due = time.monotonic() - self.last_save >= CHECKPOINT_SECONDS
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
                unsaved += [] if self._save(run) else [run.name]
        self.last_save = time.monotonic()
        return unsaved

    def _save(self, run: TrainingRun) -> bool:
        if not run.can_be_saved:
            return False
        try:
            self._drop_if_diverged(run, run.save)
        except (UserError, torch.OutOfMemoryError) as error:
            tqdm.write(f"warning: {run.name}: no checkpoint for now: {error}")
            return False
        return run in self.runs

    def _end_epoch(self, epoch: int, stop: StopRequest) -> None:
        for run, logits in self._predict(epoch, stop):
            self._drop_if_diverged(run, run.end_epoch, logits)
            if run in self.runs:
                self._save(run)
        self.last_save = time.monotonic()

    def _predict(self, epoch: int, stop: StopRequest) -> list[tuple[TrainingRun, np.ndarray]]:
        """The (N, C) test logits of each healthy run in `epoch`."""
        parts: dict[TrainingRun, list[Tensor]] = {run: [] for run in self._at(epoch)}
        start = time.perf_counter()
        for features in self._test_features() if parts else ():
            for run in self._at(epoch):
                parts[run].append(run.predict(features))
            start = self._book_time(epoch, start, testing=True)
            self._pause_point(stop)
            if not self._at(epoch):
                break
        return [(run, torch.cat(parts[run]).cpu().numpy()) for run in self._at(epoch)]

    def _test_features(self) -> Iterator[Tensor]:
        if self.kept_features is not None:
            yield from self.kept_features
            return
        kept, count = [], 0
        order = consecutive_order(len(self.test_images), self.training.eval_batch_size)
        batches = self._batches(self.test_images, order)
        for images in tqdm(batches, total=len(order), desc="test", unit="batch", leave=False):
            features = self._features(images)
            count += features.nbytes
            if count <= KEPT_FEATURES_BYTES:
                kept.append(features)
            yield features
        if count <= KEPT_FEATURES_BYTES:
            self.kept_features = kept

    def _features(self, images: Tensor) -> Tensor:
        return frozen_features(self.frozen, images, self.training.precision, *self.statistics)

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


def frozen_stages(backbone: Backbone, training: Training, device: torch.device) -> nn.Module:
    """The backbone's frozen part on the device, compiled where the config says so."""
    frozen = backbone.frozen.to(device, memory_format=torch.channels_last)
    if training.compile:
        frozen.compile(fullgraph=True)
    return frozen


@torch.no_grad()
def frozen_features(
    frozen: nn.Module,
    images: Tensor,
    precision: str,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Tensor:
    """(B, 3, S, S) images in 0..255 to (B, channels, H, W) feature maps of the frozen stages.

    `mean` and `std` are those of the backbone's inputs.
    """
    images = normalise(images, mean, std).contiguous(memory_format=torch.channels_last)
    with autocast(images.device, precision):
        return frozen(images)


def epoch_order(training: Training, images: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch, as rows of the table."""
    return training_order(images, training.batch_size, training.drop_last, seed, epoch)
