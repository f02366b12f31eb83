"""Images of which some may be unreadable, which then do not stop the others."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from satl.core.errors import UserError
from satl.data.images.batches import read_image


class TolerantImages(Dataset[tuple[Tensor, str]]):
    """Image files at a fixed size, each with what keeps it from being read ("": nothing).

    In the place of an unreadable image stands a black one.

    Args:
        paths: image files.
        side: of the square they are resized to.
    """

    def __init__(self, paths: Sequence[Path], side: int) -> None:
        self.paths, self.side = paths, side

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        try:
            return read_image(self.paths[index], self.side), ""
        except UserError as error:
            black = torch.zeros(3, self.side, self.side, dtype=torch.uint8)
            return black, _reason(error)


def _reason(error: UserError) -> str:
    if isinstance(error.__cause__, UnidentifiedImageError):
        return "no image, or of a kind that Pillow cannot read"
    return str(error.__cause__ or error)
