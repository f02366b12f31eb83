"""The one training loop: lanes side by side behind one frozen backbone."""

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
from satl.training.lane import Lane
from satl.training.precision import autocast
from satl.training.stopping import Stopped, StopRequest

# Maps of the test images do not change while their stages are frozen; small ones are kept.
KEPT_MAPS_BYTES = 256 * 2**20
CHECKPOINT_SECONDS = 600
# Whether losses are finite is asked only so often: an answer makes the device's queue run dry.
STEPS_BETWEEN_CHECKS = 50


class Trainer:
    """Frozen stages and image streams of one training job, and the lanes that they feed.

    A lane whose loss is not finite drops out, and the others go on; `failures` says why.

    Args:
        shared: what the lanes have in common.
        backbone: its frozen stages are used.
        lanes: to be trained; each may be at another epoch and step, after a kill.
        observed: a table of the training images.
        seed: of order and augmentation.
    """

    def __init__(
        self,
        shared: Shared,
        backbone: Backbone,
        lanes: Sequence[Lane],
        observed: LabelTable,
        seed: int,
    ) -> None:
        self.device, self.training, self.seed = shared.device, shared.training, seed
        self.lanes = list(lanes)
        self.failures: list[UserError] = []
        self.pin_memory = self.device.type == "cuda"
        self.frozen = frozen_stages(backbone, self.training, self.device)
        self.statistics = (backbone.mean, backbone.std)
        training = self.training
        self.train_images = open_images(
            observed, training.resize, training.image_cache, shared.train_pixels, "train"
        )
        self.test_images = open_images(
            shared.test, training.image_size, training.image_cache, shared.test_pixels, "test"
        )
        self.augment = Augmentation(training.crop_scales, training.image_size, training.flip)
        self.kept_maps: list[Tensor] | None = None
        self.last_save = time.monotonic()

    def run(self, stop: StopRequest) -> None:
        """Train all lanes to the end.

        Raises:
            Stopped: `stop` asked for it; checkpoints are saved.
            UserError: an image cannot be read, or a checkpoint cannot be written.
        """
        while waiting := [lane for lane in self.lanes if lane.epoch < self.training.epochs]:
            # After a kill some lanes may have saved an epoch that others have not.
            epoch = min(lane.epoch for lane in waiting)
            lanes = [lane for lane in waiting if lane.epoch == epoch]
            self._train_epoch(lanes, epoch, stop)
            lanes = [lane for lane in lanes if lane in self.lanes]
            test_logits = self._predict(lanes, stop)
            for lane, logits in zip(lanes, test_logits, strict=True):
                self._or_drop(lane, lane.end_epoch, logits)
            self.last_save = time.monotonic()

    def _train_epoch(self, lanes: list[Lane], epoch: int, stop: StopRequest) -> None:
        training = self.training
        order = epoch_order(training, len(self.train_images), self.seed, epoch)
        draws = augmentation_draws(len(self.train_images), self.seed, epoch)
        rows = torch.tensor([*chain(*order)], device=self.device).split([*map(len, order)])
        first = min((lane.step for lane in lanes), default=len(order))
        read = self.train_images.batches(order[first:], training.workers, self.pin_memory)
        title = f"epoch {epoch + 1}/{training.epochs}"
        bar = tqdm(total=len(order), initial=first, desc=title, unit="batch", mininterval=1)
        start = time.perf_counter()
        with bar:
            for step, images in enumerate(prefetch(read, self.device), first):
                maps = self._maps(self.augment(images, draws[order[step]]))
                for lane in lanes:
                    if lane.step == step:
                        lane.train_step(maps, rows[step])
                start = self._share_time(lanes, start)
                bar.update()
                if step % STEPS_BETWEEN_CHECKS == STEPS_BETWEEN_CHECKS - 1:
                    lanes = [lane for lane in lanes if self._or_drop(lane, lane.check_finite)]
                if all(lane.between_updates for lane in lanes):
                    self._pause_point(stop)

    def _share_time(self, lanes: list[Lane], start: float) -> float:
        now = time.perf_counter()
        for lane in lanes:
            lane.seconds += now - start
        return now

    def _or_drop(self, lane: Lane, action: Callable[..., None], *arguments: np.ndarray) -> bool:
        """Whether `action` of the lane succeeded; if not, the lane drops out."""
        try:
            action(*arguments)
        except UserError as error:
            tqdm.write(f"dropped: {error}")
            self.failures.append(error)
            self.lanes.remove(lane)
            return False
        return True

    def _pause_point(self, stop: StopRequest) -> None:
        """Save checkpoints where it is time to, and stop where that is asked for."""
        if stop.signal is None and time.monotonic() - self.last_save < CHECKPOINT_SECONDS:
            return
        for lane in list(self.lanes):
            if lane.epoch < self.training.epochs:
                self._or_drop(lane, lane.save)
        self.last_save = time.monotonic()
        if stop.signal is not None:
            raise Stopped(stop.signal)

    def _maps(self, images: Tensor) -> Tensor:
        return frozen_maps(self.frozen, images, self.training.precision, *self.statistics)

    def _predict(self, lanes: list[Lane], stop: StopRequest) -> list[np.ndarray]:
        parts: list[list[Tensor]] = [[] for _ in lanes]
        start = time.perf_counter()
        for maps in self._test_maps():
            for lane, part in zip(lanes, parts, strict=True):
                part.append(lane.predict(maps))
            start = self._share_time(lanes, start)
            self._pause_point(stop)
        return [torch.cat(part).cpu().numpy() for part in parts]

    def _test_maps(self) -> Iterator[Tensor]:
        if self.kept_maps is not None:
            yield from self.kept_maps
            return
        kept, count = [], 0
        order = consecutive_order(len(self.test_images), self.training.eval_batch_size)
        read = self.test_images.batches(order, self.training.workers, self.pin_memory)
        batches = prefetch(read, self.device)
        for images in tqdm(batches, total=len(order), desc="test", unit="batch", leave=False):
            maps = self._maps(images)
            count += maps.nbytes
            if count <= KEPT_MAPS_BYTES:
                kept.append(maps)
            yield maps
        if count <= KEPT_MAPS_BYTES:
            self.kept_maps = kept


def frozen_stages(backbone: Backbone, training: Training, device: torch.device) -> nn.Module:
    """The backbone's frozen part on the device, compiled where the config says so."""
    frozen = backbone.frozen.to(device, memory_format=torch.channels_last)
    if training.compile:
        frozen.compile()
    return frozen


@torch.no_grad()
def frozen_maps(
    frozen: nn.Module,
    images: Tensor,
    precision: str,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Tensor:
    """(B, 3, S, S) images in 0..255 to (B, channels, H, W) maps of the frozen stages.

    `mean` and `std` are those of the backbone's inputs.
    """
    images = normalise(images, mean, std).contiguous(memory_format=torch.channels_last)
    with autocast(images.device, precision):
        return frozen(images)


def epoch_order(training: Training, images: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch, as rows of the table."""
    return training_order(images, training.batch_size, training.drop_last, seed, epoch)
