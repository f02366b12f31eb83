"""From image files to batches: a fixed resize on reading, random crops and flips by batch."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from satl.core.errors import UserError
from satl.core.seeds import derive_seed
from satl.data.images.loading import loaded
from satl.data.images.pixels import Pixels, open_pixels
from satl.data.images.reading import decode
from satl.data.table import LabelTable

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BATCHES_AHEAD = 2  # that the system is told to read from the disk cache


def read_image(path: Path, side: int, expected: np.ndarray | None = None) -> Tensor:
    """One image as RGB, resized to a square by bicubic interpolation: (3, side, side) uint8.

    Raises:
        UserError: the file is missing, truncated, not an image or not of the expected sha256.
    """
    return torch.from_numpy(np.ascontiguousarray(decode(path, side, expected).transpose(2, 0, 1)))


def open_images(
    table: LabelTable,
    side: int,
    mode: Literal["none", "memory", "disk"],
    pixels: Path | None,
    title: str,
) -> "Images":
    """The images of `table` at `side`, read as `training.image_cache` says.

    Args:
        table: of which only the image files and their digests count.
        side: of the square they are resized to.
        mode: decode at every use; once, into memory; or map the file `pixels`.
        pixels: made by `satl images --pixels-out`; only for `disk`.
        title: what is read, for the progress bar and in errors.

    Raises:
        UserError: there is no pixel file, or not of these images; an image cannot be read or has
            changed; they do not fit into memory.
    """
    images = Images(table.paths(), side, digests=table.file_digests)
    if mode == "none":
        return images
    if mode == "memory":
        return Images(images.paths, side, _read_all(images, title))
    if pixels is None:
        raise UserError(
            f"training.image_cache is disk, but there is no file of decoded {title} images: make "
            f"one with `satl images --side {side} --pixels-out FILE` and give it as "
            f"--{title}-pixels FILE, or set training.image_cache to none or memory"
        )
    return Images(images.paths, side, open_pixels(pixels, table, side))


def _read_all(images: "Images", title: str) -> Pixels:
    count, side = len(images), images.side
    try:
        array = np.empty((count, 3, side, side), np.uint8)
    except MemoryError as error:
        raise UserError(
            f"{count} decoded {title} images of 3 × {side} × {side} bytes do not fit into "
            "memory; set training.image_cache to disk or none"
        ) from error
    bar = tqdm(range(count), desc=f"read {title}", unit="image", leave=False, mininterval=1)
    for row in bar:
        array[row] = images[row].numpy()
    return Pixels(array)


class Images(Dataset[Tensor]):
    """The images of one table at a fixed size, decoded at every use or before the first.

    Args:
        paths: image files, in the order of the table.
        side: of the square they are resized to.
        pixels: the same images, decoded; none: decode them when they are asked for.
        digests: (N, 32) uint8, the sha256 that the files must have each time they are read.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        side: int,
        pixels: Pixels | None = None,
        digests: np.ndarray | None = None,
    ) -> None:
        self.paths, self.side, self.pixels, self.digests = paths, side, pixels, digests

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        expected = None if self.digests is None else self.digests[index]
        return read_image(self.paths[index], self.side, expected)

    def batches(
        self, order: Sequence[Sequence[int]], workers: int, pin_memory: bool = False
    ) -> Iterator[Tensor]:
        """Yield (B, 3, side, side) uint8 batches of the given image indices.

        Args:
            order: the image indices of each batch.
            workers: processes that decode, where anything is to be decoded.
            pin_memory: whether batches lie in pinned memory: only for a CUDA device.
        """
        if self.pixels is not None:
            yield from self._gathered(self.pixels, order, pin_memory)
            return
        yield from loaded(self, order, workers, pin_memory)

    def _gathered(
        self, pixels: Pixels, order: Sequence[Sequence[int]], pin_memory: bool
    ) -> Iterator[Tensor]:
        for position, indices in enumerate(order):
            for coming in order[position + 1 : position + 1 + BATCHES_AHEAD]:
                pixels.will_need(coming)
            shape = (len(indices), 3, self.side, self.side)
            batch = torch.empty(shape, dtype=torch.uint8, pin_memory=pin_memory)
            pixels.gather(indices, batch.numpy())
            yield batch


def training_order(
    images: int, batch_size: int, drop_last: bool, seed: int, epoch: int
) -> list[list[int]]:
    """The batches of one epoch: a permutation that depends on (seed, epoch) alone."""
    rng = np.random.default_rng(derive_seed(seed, "order", epoch))
    order = rng.permutation(images).tolist()
    batches = [order[i : i + batch_size] for i in range(0, images, batch_size)]
    if drop_last and len(batches) > 1 and len(batches[-1]) < batch_size:
        batches.pop()
    return batches


def consecutive_order(images: int, batch_size: int) -> list[list[int]]:
    """Batches that cover every image exactly once, in order."""
    return [list(range(i, min(i + batch_size, images))) for i in range(0, images, batch_size)]


def normalise(
    images: Tensor, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
) -> Tensor:
    """uint8 or 0..255 float images (B, 3, H, W) to float of about mean 0 and deviation 1.

    `mean` and `std` are those of a backbone's inputs, per channel and for images in 0..1.
    """
    shift, scale = _statistics(images.device, tuple(mean), tuple(std))
    return (images.float() - shift).div_(scale)


@cache
def _statistics(
    device: torch.device, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[Tensor, Tensor]:
    # Once for each device: the copy to a GPU waits for all that the GPU has to do.
    shift, scale = (torch.tensor(v, device=device).view(3, 1, 1) * 255 for v in (mean, std))
    return shift, scale


def augmentation_draws(images: int, seed: int, epoch: int) -> np.ndarray:
    """(images, 4) uniform numbers: what happens to each image in this epoch, whatever its batch."""
    return np.random.default_rng(derive_seed(seed, "augmentation", epoch)).random((images, 4))


class Augmentation:
    """The published training transform: one of several square crops, resize, flip.

    Crops are resized by antialiased bicubic interpolation, all crops of one size together.

    Args:
        scales: sides of the crops as shares of the image's side.
        side: of the result.
        flip: whether to flip half of the images.
    """

    def __init__(self, scales: Sequence[float], side: int, flip: bool) -> None:
        self.scales, self.side, self.flip = tuple(scales), side, flip

    def __call__(self, images: Tensor, draws: np.ndarray) -> Tensor:
        """(B, 3, S, S) uint8 images to (B, 3, side, side) float in 0..255.

        `draws` (B, 4) in [0, 1) choose the size of the crop, its top and left, and the flip.
        On a GPU nothing here waits for it.
        """
        full = images.shape[-1]
        crops = [round(scale * full) for scale in self.scales]
        choice = (draws[:, 0] * len(crops)).astype(int)
        result = torch.empty((len(images), 3, self.side, self.side), device=images.device)
        for which in np.unique(choice):
            rows, crop = np.flatnonzero(choice == which), crops[which]
            corners = (draws[rows, 1:3] * (full - crop + 1)).astype(int)
            cut = _cut_by_slices if images.device.type == "cpu" else _cut_by_index
            part = self._resize(cut(images, rows, corners, crop))
            result[_on(images.device, rows)] = part
        return _flip(result, draws[:, 3] < 0.5) if self.flip else result

    def _resize(self, part: Tensor) -> Tensor:
        if part.shape[-1] == self.side:
            return part.float()
        size = (self.side, self.side)
        resized = F.interpolate(part.float(), size, mode="bicubic", antialias=True)
        return resized.round_().clamp_(0, 255)


def _on(device: torch.device, array: np.ndarray) -> Tensor:
    """`array` as a tensor on `device`, without waiting for a GPU."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _cut_by_slices(images: Tensor, rows: np.ndarray, corners: np.ndarray, crop: int) -> Tensor:
    """The squares of side `crop` at `corners` (top, left) of images `rows`: one copy for each."""
    return torch.stack(
        [
            images[row, :, top : top + crop, left : left + crop]
            for row, (top, left) in zip(rows.tolist(), corners.tolist(), strict=True)
        ]
    )


def _cut_by_index(images: Tensor, rows: np.ndarray, corners: np.ndarray, crop: int) -> Tensor:
    """The same in one kernel whatever the number of images: for GPUs."""
    places = _on(images.device, np.column_stack([rows, corners]))
    row, top, left = places.view(-1, 3, 1, 1, 1).unbind(1)
    along = torch.arange(crop, device=images.device)
    channel = torch.arange(images.shape[1], device=images.device).view(-1, 1, 1)
    return images[row, channel, top + along.view(-1, 1), left + along]


def _flip(images: Tensor, flipped: np.ndarray) -> Tensor:
    """Mirror the images where `flipped` (B,) says so; may change `images`."""
    if images.device.type != "cpu":
        return torch.where(_on(images.device, flipped).view(-1, 1, 1, 1), images.flip(3), images)
    for row in np.flatnonzero(flipped).tolist():  # one after the other they stay in the CPU's cache
        images[row] = images[row].flip(2)
    return images
