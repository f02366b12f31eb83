"""Feature maps on disk: a `.npy` file, and a JSON file beside it that says what is in it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from torch import Tensor

from satl.core.errors import UserError
from satl.core.files import existing, write_json, writing

LARGEST = np.finfo(np.float16).max


def as_stored(maps: Tensor) -> Tensor:
    """Feature maps as a file gives them back: rounded to float16, and in float32 again."""
    return maps.float().contiguous().half().float()


def description_of(path: Path) -> Path:
    """The file that says what the feature file `path` holds."""
    return path.with_suffix(".json")


@dataclass(frozen=True)
class FeatureFile:
    """(views, N, …) float16 maps of N images, and the digest of their bytes.

    The rest of the shape is what the frozen part gives of an image: (channels, H, W), or tokens.
    """

    maps: np.ndarray
    sha256: str

    @classmethod
    def open(cls, path: Path, table_digest: str) -> "FeatureFile":
        """Map the file into memory.

        Args:
            path: written by `write`.
            table_digest: of the images (without labels) that it must be of.

        Raises:
            UserError: it is missing, damaged, or of other images.
        """
        again = "make it again with `satl features`"
        try:
            text = existing(description_of(path), "description of features").read_text("utf-8")
            described = json.loads(text)
            maps = np.load(existing(path, "feature file"), mmap_mode="r")
        except (ValueError, OSError) as error:
            raise UserError(f"{path}: not a feature file, or damaged ({error}); {again}") from error
        if described.get("images") != table_digest:
            raise UserError(f"{path}: holds features of other images; {again}")
        if maps.dtype != np.float16 or maps.ndim < 3:
            raise UserError(f"{path}: holds {maps.dtype} of {maps.ndim} dimensions; {again}")
        return cls(maps, described["sha256"])


def write(
    path: Path, shape: tuple[int, int], batches: Iterable[np.ndarray], facts: dict[str, Any]
) -> None:
    """Write feature maps as they come, and then their description.

    Args:
        path: the `.npy` file.
        shape: (views, N); the batches' lengths add up to views · N.
        batches: (B, …) float32, such as (B, channels, H, W), the first view of all images first.
        facts: goes into the description; `images` is the digest of the table.

    Raises:
        UserError: the file cannot be written, or a value is too large for float16.
    """
    total = hashlib.sha256()
    start = 0
    # What it says is no longer so once the maps have been replaced.
    description_of(path).unlink(missing_ok=True)
    # Not through a memory map: there a full disk would kill the process without a word.
    with writing(path) as temporary, open(temporary, "wb") as file:
        for batch in batches:
            if not np.abs(batch).max() <= LARGEST:
                raise UserError(
                    f"{path}: feature maps are not finite, or exceed {LARGEST:g}, which float16 "
                    "cannot hold; are these the weights of this backbone?"
                )
            if start == 0:
                _write_header(file, (*shape, *batch.shape[1:]))
            small = np.ascontiguousarray(batch, dtype=np.float16)
            file.write(small.data)
            total.update(small.data)
            start += len(batch)
        if start != shape[0] * shape[1]:
            raise ValueError(f"{start} feature maps are not {shape[0]} × {shape[1]}")
    write_json(description_of(path), {**facts, "sha256": total.hexdigest()})


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    """That of a `.npy` file of float16 values."""
    descr = np.lib.format.dtype_to_descr(np.dtype(np.float16))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
