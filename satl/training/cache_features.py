"""Computing the feature maps that `training.cached_views` asks for, once for all trainings."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from satl.config import Model, Training
from satl.core.errors import UserError
from satl.data.images.batches import (
    Augmentation,
    augmentation_draws,
    consecutive_order,
    open_images,
)
from satl.data.images.prefetch import prefetch
from satl.data.images.strong import StrongAugmentation, strong_draws
from satl.data.table import LabelTable
from satl.models.backbone import build_backbone, load_weights
from satl.training.feature_file import write
from satl.training.features import frozen_features, frozen_stages
from satl.training.precision import prepare_torch

VIEW_SEED = 0  # the views of an image are the same for all trainings; which is shown when, is not


def cache_features(
    table: LabelTable,
    part: Literal["train", "strong", "validation", "test"],
    model: Model,
    training: Training,
    weights: Path,
    device: torch.device,
    out: Path,
    pixels: Path | None = None,
) -> None:
    """Write the feature maps of all images: views of training images, of all others as they are.

    Args:
        table: the images; labels are not read.
        part: which protocol of images applies; `strong` makes strong views of training images.
        model, training: sections of the experiment file.
        weights: of the backbone.
        device: to compute on.
        out: the `.npy` file to write; its description goes beside it.
        pixels: decoded images, where `training.image_cache` is disk.

    Raises:
        UserError: an image or the weights cannot be read, or the file cannot be written.
    """
    key = "cached_strong_views" if part == "strong" else "cached_views"
    if getattr(training, key) is None:
        raise UserError(f"training.{key} is not set: there is nothing to cache")
    prepare_torch(training, device)
    backbone = build_backbone(
        model.backbone, load_weights(weights), model.frozen, training.image_size
    )
    frozen = frozen_stages(backbone, training, device)
    views, draw, augment = _views(part, training)
    side = training.image_size if augment is _as_it_is else training.resize
    title = "train" if part == "strong" else part
    images = open_images(table, side, training.image_cache, pixels, title)
    order = consecutive_order(len(images), training.eval_batch_size)

    def batches(bar: tqdm) -> Iterator[np.ndarray]:
        for view in range(views):
            draws = draw(len(images), VIEW_SEED, view)
            read = prefetch(images.batches(order, training.workers, device.type == "cuda"), device)
            for rows, batch in zip(order, read, strict=True):
                shown = augment(batch, draws[rows])
                maps = frozen_features(
                    frozen, shown, training.precision, backbone.mean, backbone.std
                )
                bar.update(len(rows))
                yield maps.float().cpu().numpy()

    facts = {"images": table.without_labels().digest(), "backbone": model.backbone, "views": views}
    total = views * len(images)
    with tqdm(total=total, desc=f"features {part}", unit="image", mininterval=1) as bar:
        write(out, (views, len(images)), batches(bar), facts)


def _views(
    part: str, training: Training
) -> tuple[int, Callable[[int, int, int], np.ndarray], Callable[[Tensor, np.ndarray], Tensor]]:
    """How many views an image has, what is drawn for them, and what becomes of image and draws."""
    ordinary = Augmentation(training.crop_scales, training.image_size, training.flip)
    if part == "train":
        return training.cached_views, augmentation_draws, ordinary
    if part == "strong":
        return training.cached_strong_views, strong_draws, StrongAugmentation(ordinary)
    return 1, augmentation_draws, _as_it_is


def _as_it_is(images: Tensor, draws: np.ndarray) -> Tensor:
    return images
