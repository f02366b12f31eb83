"""Decoded images on disk: a `.npy` file of all images of a table, and a JSON file beside it.

The array is (slots, 3, side, side) uint8, to be mapped into memory. Channels come first because
crops are then copied and resized faster than from interleaved pixels. The JSON file lists the
image file of each slot; the slot of an image that could not be decoded is empty.
`pixel_writer` writes both.
"""

import contextlib
import hashlib
import json
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from satl.core.errors import UserError
from satl.core.files import existing, write_text
from satl.data.images.reading import read_file
from satl.data.table import LabelTable

SAMPLE = 64  # image files looked at before training


class ImageFile(NamedTuple):
    """An image file as it was when it was decoded."""

    name: str
    size: int
    mtime_ns: int
    sha256: str


def description_of(path: Path) -> Path:
    """The file that says which images are in the `.npy` file `path`."""
    return path.with_suffix(".json")


def write_description(path: Path, files: Sequence[ImageFile | None]) -> None:
    """Write the image file of each slot (None: it is empty), whole or not at all."""
    write_text(path, json.dumps({"files": files}, ensure_ascii=False))


def read_description(path: Path) -> list[ImageFile | None]:
    """The image file of each slot. Raises OSError, ValueError, KeyError or TypeError."""
    files = json.loads(path.read_text(encoding="utf-8"))["files"]
    return [None if file is None else ImageFile(*file) for file in files]


def size_and_mtime(path: Path) -> tuple[int, int]:
    """Bytes and time of modification in ns. Raises UserError if there is no such file."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return status.st_size, status.st_mtime_ns


class Pixels:
    """Decoded images, (3, side, side) uint8 each, in the order of a table.

    Args:
        array: (slots, 3, side, side) uint8, in memory or a map of a file.
        slots: (N,) which slot each image is in; all, in order, by default.
    """

    def __init__(self, array: np.ndarray, slots: np.ndarray | None = None) -> None:
        self.array = np.asarray(array)
        self.slots = np.arange(len(array)) if slots is None else slots
        self._map = array.base if isinstance(array.base, mmap.mmap) else None
        self._start = array.offset % mmap.ALLOCATIONGRANULARITY if self._map else 0

    def __len__(self) -> int:
        return len(self.slots)

    def gather(self, indices: Sequence[int], out: np.ndarray) -> None:
        """Copy the images `indices` to `out`, (B, 3, side, side) uint8."""
        # Slots are valid, and only without NumPy's check are they copied without a buffer.
        np.take(self.array, self.slots[indices], axis=0, out=out, mode="clip")

    def will_need(self, indices: Sequence[int]) -> None:
        """Have the system read these images from disk in the background, where it can."""
        if self._map is None or not hasattr(mmap, "MADV_WILLNEED"):
            return
        length = self.array[0].nbytes
        for slot in self.slots[indices].tolist():
            first = self._start + slot * length
            page = first // mmap.PAGESIZE * mmap.PAGESIZE
            with contextlib.suppress(OSError):  # it is but advice
                self._map.madvise(mmap.MADV_WILLNEED, page, first + length - page)


def open_pixels(path: Path, table: LabelTable, side: int) -> Pixels:
    """Map the decoded images of `table` into memory; all processes share one copy of them.

    Raises:
        UserError: a file is missing, incomplete or something else; it was made of other images,
            of images of other content or at another size; one of a sample of `SAMPLE` image
            files has changed since.
    """
    again = f"delete {path} and run again (`satl images --pixels-out` makes it)"
    made_by = "of decoded images; `satl images --pixels-out` makes it"
    existing(path, f"file {made_by}")
    existing(description_of(path), f"description {made_by}")
    try:
        files = read_description(description_of(path))
        array = np.load(path, mmap_mode="r")
        if array.dtype != np.uint8 or array.ndim != 4 or len(array) != len(files):
            raise ValueError(f"{array.dtype} of shape {array.shape} for {len(files)} images")
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a file of decoded images ({error}); {again}") from error
    if array.shape[-1] != side:
        raise UserError(f"{path}: its images have {array.shape[-1]} pixels, not {side}; {again}")
    decoded = [file for file in files if file is not None]
    if tuple(file.name for file in decoded) != table.file_names:
        raise UserError(
            f"{path}: its {len(decoded)} images are not the {len(table.file_names)} of this table "
            f"({table.folder}); {again}"
        )
    changed = _other_content(table, decoded) or _changed_since(table, decoded)
    if changed:
        raise UserError(f"{path}: {changed[0]} has changed since this was decoded; {again}")
    return Pixels(array, np.array([slot for slot, file in enumerate(files) if file is not None]))


def _other_content(table: LabelTable, decoded: Sequence[ImageFile]) -> list[Path]:
    """Images that `satl images` found with other content when it wrote `table`."""
    if table.file_digests is None:
        return []
    pairs = zip(table.paths(), table.file_digests, decoded, strict=True)
    return [path for path, digest, file in pairs if digest.tobytes().hex() != file.sha256]


def _changed_since(table: LabelTable, decoded: Sequence[ImageFile]) -> list[Path]:
    """Images, of a sample spread over the table, whose files have other content now.

    A sample, because a stat of each file costs minutes where they lie on a network.
    """
    paths, count = table.paths(), len(decoded)
    rows = np.linspace(0, count - 1, min(count, SAMPLE)).astype(int)
    touched = [
        row for row in rows.tolist()
        if size_and_mtime(paths[row]) != (decoded[row].size, decoded[row].mtime_ns)
    ]  # fmt: skip
    return [
        paths[row] for row in touched
        if hashlib.sha256(read_file(paths[row])).hexdigest() != decoded[row].sha256
    ]  # fmt: skip
