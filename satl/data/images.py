"""From image files to batches: a fixed resize on reading, random crops and flips by batch."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from satl.errors import UserError
from satl.seeds import derive_seed

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def read_image(path: Path, side: int) -> Tensor:
    """One image as RGB, resized to a square by bicubic interpolation: (3, side, side) uint8.

    Raises:
        UserError: the file is missing, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such image file") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be decoded ({error}); fetch this file again, or remove it from "
            "the annotations"
        ) from error
    return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1)


class Images(Dataset[Tensor]):
    """The images of one table at a fixed size, read on demand or all kept in memory.

    Args:
        paths: image files, in the order of the table.
        side: of the square they are resized to.
        cached: read all of them now and keep them (N · 3 · side² bytes).
        title: of the progress bar.
    """

    def __init__(self, paths: Sequence[Path], side: int, cached: bool, title: str) -> None:
        self.paths = paths
        self.side = side
        self.cache: list[Tensor] | None = None
        if cached:
            bar = tqdm(paths, desc=f"read {title}", unit="image", leave=False, mininterval=1)
            self.cache = [read_image(path, side) for path in bar]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        return self.cache[index] if self.cache else read_image(self.paths[index], self.side)

    def batches(self, order: Sequence[Sequence[int]], workers: int) -> Iterator[Tensor]:
        """Yield (B, 3, side, side) uint8 batches of the given image indices."""
        loader = DataLoader(
            self,
            batch_sampler=order,
            num_workers=0 if self.cache else workers,
            pin_memory=torch.cuda.is_available(),
        )
        try:
            yield from loader
        except UserError as error:
            # A worker process sends its whole traceback along in the message.
            raise UserError(str(error).rpartition("UserError: ")[2].strip()) from error


def training_order(
    images: int, batch_size: int, drop_last: bool, seed: int, epoch: int
) -> list[list[int]]:
    """The batches of one epoch: a permutation that depends on (seed, epoch) alone."""
    rng = np.random.default_rng(derive_seed(seed, "order", epoch))
    order = rng.permutation(images).tolist()
    batches = [order[i : i + batch_size] for i in range(0, images, batch_size)]
    incomplete = len(batches) > 1 and len(batches[-1]) < batch_size
    # Batch norm cannot train on a single image, whatever the config says.
    if incomplete and (drop_last or len(batches[-1]) == 1):
        batches.pop()
    return batches


def consecutive_order(images: int, batch_size: int) -> list[list[int]]:
    """Batches that cover every image exactly once, in order."""
    return [list(range(i, min(i + batch_size, images))) for i in range(0, images, batch_size)]


def normalise(images: Tensor) -> Tensor:
    """uint8 or 0..255 float images (B, 3, H, W) to ImageNet-normalised float."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(3, 1, 1) * 255
    std = torch.tensor(IMAGENET_STD, device=images.device).view(3, 1, 1) * 255
    return (images.float() - mean) / std


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
        """
        full = images.shape[-1]
        crops = [round(scale * full) for scale in self.scales]
        choice = (draws[:, 0] * len(crops)).astype(int)
        result = torch.empty((len(images), 3, self.side, self.side), device=images.device)
        for which in np.unique(choice):
            rows = np.flatnonzero(choice == which)
            crop = crops[which]
            corner = (draws[rows, 1:3] * (full - crop + 1)).astype(int)
            part = torch.stack(
                [
                    images[row, :, top : top + crop, left : left + crop]
                    for row, (top, left) in zip(rows, corner, strict=True)
                ]
            )
            result[torch.from_numpy(rows).to(images.device)] = self._resize(part)
        if self.flip:
            flipped = torch.from_numpy(draws[:, 3] < 0.5).to(images.device)
            result = torch.where(flipped.view(-1, 1, 1, 1), result.flip(3), result)
        return result

    def _resize(self, part: Tensor) -> Tensor:
        if part.shape[-1] == self.side:
            return part.float()
        size = (self.side, self.side)
        resized = F.interpolate(part.float(), size, mode="bicubic", antialias=True)
        return resized.round_().clamp_(0, 255)
