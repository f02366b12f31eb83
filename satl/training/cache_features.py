"""Computing the feature maps that `training.cached_views` asks for, once for all trainings."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import starmap
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
    cores: int = 1,
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
        cores: of the CPU; batches are computed side by side on them, which changes no number.

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

    def shown() -> Iterator[tuple[Tensor, np.ndarray]]:
        for view in range(views):
            draws = draw(len(images), VIEW_SEED, view)
            read = prefetch(images.batches(order, training.workers, device.type == "cuda"), device)
            for rows, batch in zip(order, read, strict=True):
                yield batch, draws[rows]

    def maps_of(batch: Tensor, draws: np.ndarray) -> np.ndarray:
        augmented = augment(batch, draws)
        maps = frozen_features(frozen, augmented, training.precision, backbone.mean, backbone.std)
        return maps.float().cpu().numpy()

    compute = partial(_side_by_side, cores, training.threads) if device.type == "cpu" else starmap

    def counted(bar: tqdm) -> Iterator[np.ndarray]:
        for maps in compute(maps_of, shown()):
            bar.update(len(maps))
            yield maps

    facts = {"images": table.without_labels().digest(), "backbone": model.backbone, "views": views}
    total = views * len(images)
    with tqdm(total=total, desc=f"features {part}", unit="image", mininterval=1) as bar:
        write(out, (views, len(images)), counted(bar), facts)


def _side_by_side(
    cores: int, threads: int, function: Callable[..., np.ndarray], arguments: Iterable[tuple]
) -> Iterator[np.ndarray]:
    """`starmap` with as many calls of `threads` threads at once as there are cores for."""
    workers = max(1, cores // threads)
    running: deque[Future] = deque()
    with ThreadPoolExecutor(workers, "features", torch.set_num_threads, (threads,)) as pool:
        for given in arguments:
            running.append(pool.submit(function, *given))
            if len(running) > workers:  # one more waits, and no others: they hold images
                yield running.popleft().result()
        yield from (future.result() for future in running)


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
