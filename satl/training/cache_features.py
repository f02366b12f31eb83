"""Computing the feature maps that `training.cached_views` asks for, once for all trainings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
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
from satl.data.table import LabelTable
from satl.models.backbone import build_backbone, load_weights
from satl.training.feature_file import write
from satl.training.features import frozen_features, frozen_stages
from satl.training.precision import prepare_torch

VIEW_SEED = 0  # the views of an image are the same for all trainings; which is shown when, is not


def cache_features(
    table: LabelTable,
    part: Literal["train", "validation", "test"],
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
        part: which protocol of images applies.
        model, training: sections of the experiment file.
        weights: of the backbone.
        device: to compute on.
        out: the `.npy` file to write; its description goes beside it.
        pixels: decoded images, where `training.image_cache` is disk.

    Raises:
        UserError: an image or the weights cannot be read, or the file cannot be written.
    """
    if training.cached_views is None:
        raise UserError("training.cached_views is not set: there is nothing to cache")
    prepare_torch(training, device)
    backbone = build_backbone(model.backbone, load_weights(weights), model.frozen)
    frozen = frozen_stages(backbone, training, device)
    side = training.resize if part == "train" else training.image_size
    images = open_images(table, side, training.image_cache, pixels, part)
    augment = Augmentation(training.crop_scales, training.image_size, training.flip)
    views = training.cached_views if part == "train" else 1
    order = consecutive_order(len(images), training.eval_batch_size)

    def batches() -> Iterator[np.ndarray]:
        bar = tqdm(total=views * len(images), desc=f"features {part}", unit="image", mininterval=1)
        for view in range(views):
            draws = augmentation_draws(len(images), VIEW_SEED, view)
            read = prefetch(images.batches(order, training.workers, device.type == "cuda"), device)
            for rows, batch in zip(order, read, strict=True):
                shown = augment(batch, draws[rows]) if part == "train" else batch
                maps = frozen_features(
                    frozen, shown, training.precision, backbone.mean, backbone.std
                )
                bar.update(len(rows))
                yield maps.float().cpu().numpy()
        bar.close()

    facts = {"images": table.without_labels().digest(), "backbone": model.backbone, "views": views}
    write(out, (views, len(images)), batches(), facts)
