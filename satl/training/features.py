"""Where a training job's feature maps come from: images and frozen stages, or a cache of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from satl.config import Training
from satl.core.seeds import derive_seed
from satl.data.images.batches import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    Images,
    augmentation_draws,
    consecutive_order,
    normalise,
    open_images,
)
from satl.data.images.prefetch import prefetch
from satl.data.images.strong import StrongAugmentation, strong_draws
from satl.data.table import LabelTable
from satl.models.backbone import Backbone
from satl.training.feature_file import FeatureFile
from satl.training.few_at_once import few_at_once
from satl.training.precision import autocast

# Features of the test images do not change while their stages are frozen; small ones are kept.
KEPT_FEATURES_BYTES = 256 * 2**20

Batches = Sequence[Sequence[int]]


class Views(NamedTuple):
    """A training batch as an epoch shows it, as feature maps: (B, channels, H, W) each.

    Of a transformer that is cut, tokens (B, L, D) instead; so in all of this module.

    `strong` is the strongly augmented view, where some method of the job asks for it.
    """

    weak: Tensor
    strong: Tensor | None = None


class FeatureSource(Protocol):
    """Feature maps of the frozen stages, (B, channels, H, W) on the device, batch by batch."""

    def training(self, epoch: int, order: Batches) -> Iterator[Views]:
        """Those of training images as `epoch` shows them; `order` holds rows of the table."""

    def predicted(self) -> Iterator[Tensor]:
        """Those of the images that every epoch is tried on: held out, if any are, then test."""


class ImageFeatures:
    """Reads and augments images, and passes them through the frozen stages, each time anew.

    Args:
        backbone: its frozen stages are used.
        observed: table of the training images.
        predicted: tables of the images that are tried, by part of the data set.
        training: the protocol.
        pixels: decoded images by part, where `image_cache` is disk.
        seed: of the augmentation.
        device: where the frozen stages are.
        strong: whether training images have a strong view, too.
    """

    def __init__(
        self,
        backbone: Backbone,
        observed: LabelTable,
        predicted: Mapping[str, LabelTable],
        training: Training,
        pixels: Mapping[str, Path | None],
        seed: int,
        device: torch.device,
        strong: bool = False,
    ) -> None:
        self.protocol, self.seed, self.device = training, seed, device
        self.statistics = (backbone.mean, backbone.std)
        self.frozen = frozen_stages(backbone, training, device)
        self.train_images = self._open("train", observed, training.resize, pixels)
        self.predicted_images = [
            self._open(part, table, training.image_size, pixels)
            for part, table in predicted.items()
        ]
        self.augment = Augmentation(training.crop_scales, training.image_size, training.flip)
        self.augment_strongly = StrongAugmentation(self.augment) if strong else None
        self.kept: list[Tensor] | None = None

    def training(self, epoch: int, order: Batches) -> Iterator[Views]:
        """Augmented anew in each epoch; see `FeatureSource`."""
        count = len(self.train_images)
        draws = augmentation_draws(count, self.seed, epoch)
        drawn_strong = strong_draws(count, self.seed, epoch) if self.augment_strongly else None
        for rows, images in zip(order, self._batches(self.train_images, order), strict=True):
            weak = self._features(self.augment(images, draws[np.asarray(rows)]))
            if self.augment_strongly is None or drawn_strong is None:
                yield Views(weak)
                continue
            distorted = self.augment_strongly(images, drawn_strong[np.asarray(rows)])
            yield Views(weak, self._features(distorted))

    def predicted(self) -> Iterator[Tensor]:
        """See `FeatureSource`."""
        if self.kept is not None:
            yield from self.kept
            return
        kept, count = [], 0
        for images in self.predicted_images:
            for features in self._features_of(images):
                count += features.nbytes
                if count <= KEPT_FEATURES_BYTES:
                    kept.append(features)
                yield features
        if count <= KEPT_FEATURES_BYTES:
            self.kept = kept

    def _open(
        self, part: str, table: LabelTable, side: int, pixels: Mapping[str, Path | None]
    ) -> Images:
        return open_images(table, side, self.protocol.image_cache, pixels.get(part), part)

    def _features_of(self, images: Images) -> Iterator[Tensor]:
        order = consecutive_order(len(images), self.protocol.eval_batch_size)
        batches = self._batches(images, order)
        for batch in tqdm(batches, total=len(order), desc="test", unit="batch", leave=False):
            yield self._features(batch)

    def _batches(self, images: Images, order: Batches) -> Iterator[Tensor]:
        pinned = self.device.type == "cuda"
        return prefetch(images.batches(order, self.protocol.workers, pinned), self.device)

    def _features(self, images: Tensor) -> Tensor:
        return frozen_features(self.frozen, images, self.protocol.precision, *self.statistics)


class CachedFeatures:
    """Feature maps that `satl features` has computed once, for some augmented views per image.

    Each epoch shows one of its views of each image, drawn anew.

    Args:
        files: by part of the data set; all but `train` are predicted, in their order.
        training: the protocol.
        seed: of the views.
        device: where batches go.
        strong: of the strong views of training images, where a method asks for them.
    """

    def __init__(
        self,
        files: Mapping[str, FeatureFile],
        training: Training,
        seed: int,
        device: torch.device,
        strong: FeatureFile | None = None,
    ) -> None:
        self.train_file, self.strong_file = files["train"], strong
        self.predicted_files = [file for part, file in files.items() if part != "train"]
        self.protocol, self.seed, self.device = training, seed, device

    def training(self, epoch: int, order: Batches) -> Iterator[Views]:
        """See `FeatureSource`."""
        weak = self._drawn_views(self.train_file, order, "view", epoch)
        if self.strong_file is None:
            yield from map(Views, weak)
        else:
            yield from map(Views, weak, self._drawn_views(self.strong_file, order, "strong", epoch))

    def _drawn_views(
        self, file: FeatureFile, order: Batches, purpose: str, epoch: int
    ) -> Iterator[Tensor]:
        """One of the views in `file` of each image, drawn by seed, purpose and epoch."""
        views, images = file.maps.shape[:2]
        shown = np.random.default_rng(derive_seed(self.seed, purpose, epoch)).integers(
            views, size=images
        )
        for rows in order:
            yield self._on_device(file.maps[shown[rows], rows])

    def predicted(self) -> Iterator[Tensor]:
        """See `FeatureSource`."""
        size = self.protocol.eval_batch_size
        for file in self.predicted_files:
            maps = file.maps[0]
            for start in range(0, len(maps), size):
                yield self._on_device(maps[start : start + size])

    def _on_device(self, maps: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(maps)).to(self.device).float()


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

    def stages(part: Tensor) -> Tensor:
        scaled = normalise(part, mean, std)
        return frozen(scaled.contiguous(memory_format=torch.channels_last))

    with autocast(images.device, precision):
        return few_at_once(stages, images)
