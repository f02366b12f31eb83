"""The pixel file: all images of a table, decoded and resized, to be mapped into memory.

A header of one page (JSON), then size and time of change of each image file (slots × 2 int64),
then the pixels (slots × 3 × side × side uint8). Channels come first because crops are then
copied and resized faster than from interleaved pixels. Images that could not be decoded keep an
empty slot. `pixel_writer` beside this writes the file; until it is complete it has another name.
"""

import contextlib
import json
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from satl.core.errors import UserError
from satl.core.files import digest, existing
from satl.data.table import LabelTable

FORMAT = "satl pixels 1"
PAGE = 4096
EMPTY = -1  # the size of the file whose slot holds no image


@dataclass(frozen=True)
class Layout:
    """Where things lie in a pixel file of `slots` images of 3 × side × side bytes."""

    slots: int
    side: int

    @property
    def image_bytes(self) -> int:
        """Of one image."""
        return 3 * self.side**2

    @property
    def start(self) -> int:
        """Offset of the first image, at the start of a page."""
        return PAGE + -(-16 * self.slots // PAGE) * PAGE

    @property
    def total(self) -> int:
        """Bytes of the whole file."""
        return self.start + self.slots * self.image_bytes


def file_facts(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change in ns. Raises UserError if there is no such file."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return status.st_size, status.st_mtime_ns


def names_digest(names: Sequence[str]) -> str:
    """Stands for the names of images in their order, as the header has it."""
    return digest(list(names))


def read_header(path: Path) -> dict[str, Any]:
    """The header of a pixel file, complete or not. Raises ValueError where it is something else."""
    with open(path, "rb") as file:
        header = json.loads(file.read(PAGE))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    return header


def read_facts(path: Path, slots: int) -> np.ndarray:
    """(slots, 2) int64: size and time of change of each image file when it was decoded."""
    return np.fromfile(path, np.int64, count=2 * slots, offset=PAGE).reshape(slots, 2)


class Pixels:
    """Decoded images, (3, side, side) uint8 each, in the order of a table.

    Args:
        array: (slots, 3, side, side) uint8.
        slots: (N,) which slot each image is in; all, in order, by default.
        mapped: the memory map that `array` lies in, if it does.
    """

    def __init__(
        self, array: np.ndarray, slots: np.ndarray | None = None, mapped: mmap.mmap | None = None
    ) -> None:
        self.array = array
        self.slots = np.arange(len(array)) if slots is None else slots
        self._map = mapped

    def __len__(self) -> int:
        return len(self.slots)

    def gather(self, indices: Sequence[int], out: np.ndarray) -> None:
        """Copy the images `indices` to `out`, (B, 3, side, side) uint8."""
        # Slots are valid, and only without NumPy's check are they copied without a buffer.
        np.take(self.array, self.slots[indices], axis=0, out=out, mode="clip")

    def expect(self, indices: Sequence[int]) -> None:
        """Have the system read these images from disk in the background, where it can."""
        if self._map is None or not hasattr(mmap, "MADV_WILLNEED"):
            return
        layout = Layout(len(self.array), self.array.shape[-1])
        for slot in self.slots[indices].tolist():
            first = layout.start + slot * layout.image_bytes
            page = first // mmap.PAGESIZE * mmap.PAGESIZE
            with contextlib.suppress(OSError):  # it is but advice
                self._map.madvise(mmap.MADV_WILLNEED, page, first + layout.image_bytes - page)


def open_pixels(path: Path, table: LabelTable, side: int) -> Pixels:
    """Map the pixel file of the images of `table`, all processes sharing one copy in memory.

    Raises:
        UserError: the file is missing, incomplete or something else, was made of other images
            or at another size, or image files have changed since.
    """
    again = f"delete {path} and run again (`satl images --pixels-out` makes it)"
    existing(path, "file of decoded images; `satl images --pixels-out` makes it")
    try:
        header = read_header(path)
        layout = Layout(header["slots"], header["side"])
        if path.stat().st_size != layout.total:
            raise ValueError(f"{path.stat().st_size} bytes instead of {layout.total}")
        facts = read_facts(path, layout.slots)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path}: not a file of decoded images ({error}); {again}") from error
    if layout.side != side:
        raise UserError(f"{path}: its images have {layout.side} pixels, not {side}; {again}")
    slots = np.flatnonzero(facts[:, 0] != EMPTY)
    if header.get("names") != names_digest(table.file_names):
        raise UserError(
            f"{path}: its {len(slots)} images are not the {len(table.file_names)} of this table "
            f"({table.folder}); {again}"
        )
    _check_unchanged(path, table, facts[slots], again)
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    array = np.frombuffer(mapped, np.uint8, offset=layout.start)
    return Pixels(array.reshape(-1, 3, side, side), slots, mapped)


def _check_unchanged(path: Path, table: LabelTable, facts: np.ndarray, again: str) -> None:
    now = np.array([file_facts(file) for file in table.paths()], np.int64).reshape(-1, 2)
    changed = np.flatnonzero((now != facts).any(1))
    if changed.size:
        raise UserError(
            f"{path}: {changed.size} of its {len(facts)} images have changed since it was made, "
            f"first {table.paths()[changed[0]]}; {again}"
        )
