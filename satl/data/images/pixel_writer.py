"""Writing decoded images: under other names until all are there, going on where it stopped."""

import contextlib
import errno
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from satl.core.errors import UserError
from satl.core.files import cannot_write
from satl.data.images.pixels import (
    ImageFile,
    description_of,
    read_description,
    size_and_mtime,
    write_description,
)
from satl.data.table import LabelTable

logger = logging.getLogger(__name__)
SAVE_SECONDS = 10  # between two times that what was decoded is made safe


@dataclass(frozen=True)
class Slots:
    """Where decoded images go: (3, side, side) uint8 each, from the byte `start` of `file` on."""

    file: Path
    start: int
    side: int

    def write(self, slot: int, image: np.ndarray) -> None:
        """Write an image, (side, side, 3) uint8. Raises OSError."""
        # Not through a memory map: there a full disk would kill the process without a word.
        with open(self.file, "r+b") as file:
            file.seek(self.start + slot * image.nbytes)
            file.write(np.ascontiguousarray(image.transpose(2, 0, 1)).data)


class PixelWriter:
    """The unfinished pixel file of one table; its pixels are written by other processes.

    Attributes:
        part: the file while it is unfinished.
        files: (slots,) the image files decoded so far.
    """

    def __init__(self, path: Path, table: LabelTable, side: int) -> None:
        self.path, self.table, self.side = path, table, side
        self.part = path.with_name(f".{path.name}.part")
        self._described = path.with_name(f".{description_of(path).name}.part")
        self._shape = (len(table.file_names), 3, side, side)
        self.files: list[ImageFile | None] = [None] * len(table.file_names)
        self._saved = time.monotonic()

    def start(self) -> Slots:
        """Make the file or take up an unfinished one.

        Raises:
            UserError: the disk has not enough space for the file.
        """
        resumed = self._resume()
        self._check_space()
        if not resumed:
            self._described.unlink(missing_ok=True)  # first: it is of another file
            np.lib.format.open_memmap(self.part, "w+", np.uint8, self._shape)
        # At once, so that pixels of a changed file are never stored with its old size and mtime.
        self.save()
        return Slots(self.part, np.load(self.part, mmap_mode="r").offset, self.side)

    def missing(self) -> list[int]:
        """The rows still to be decoded."""
        return [row for row, file in enumerate(self.files) if file is None]

    def _resume(self) -> bool:
        try:
            found = read_description(self._described)
            array = np.load(self.part, mmap_mode="r")
        except (OSError, EOFError, ValueError, KeyError, TypeError):
            return False
        names = self.table.file_names
        if array.shape != self._shape or len(found) != len(names):
            return False
        for row, (file, name, path) in enumerate(
            zip(found, names, self.table.paths(), strict=True)
        ):
            if file and file[:3] == (name, *size_and_mtime(path)):
                self.files[row] = file
        logger.info("%s: resuming after %d images", self.path, len(names) - len(self.missing()))
        return True

    def _check_space(self) -> None:
        size, there = int(np.prod(self._shape)), 0
        with contextlib.suppress(OSError):
            there = self.part.stat().st_blocks * 512
        free = shutil.disk_usage(self.part.parent).free
        count, side = self._shape[0], self.side
        text = f"{count} decoded images of 3 × {side} × {side} bytes take {_units(size)}"
        logger.info("%s: %s; %s free", self.path, text, _units(free))
        if size - there > free:
            raise UserError(
                f"{self.path}: {text}, but only {_units(free)} are free in {self.path.parent}; "
                "free some space there, or set training.image_cache to none or memory"
            )

    def add(self, files: Iterable[tuple[int, ImageFile]]) -> None:
        """The pixels of these rows are written."""
        for row, file in files:
            self.files[row] = file
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Make safe what is written: first pixels, then that they are there."""
        with open(self.part, "r+b") as file:
            os.fsync(file.fileno())
        write_description(self._described, self.files)
        self._saved = time.monotonic()

    def complete(self) -> None:
        """Give the files their names. The description comes last: without it nothing is read."""
        self.save()
        description_of(self.path).unlink(missing_ok=True)
        os.replace(self.part, self.path)
        os.replace(self._described, description_of(self.path))


@contextmanager
def pixel_writer(path: Path, table: LabelTable, side: int) -> Iterator[PixelWriter]:
    """Yield the writer of the pixel file `path`; what it wrote is kept whatever happens.

    Raises:
        UserError: the file cannot be written, or another process is writing it.
    """
    path = Path(path)
    writer = PixelWriter(path, table, side)
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            yield writer
            lock.unlink(missing_ok=True)
    except Timeout as error:
        raise UserError(f"{path}: another process is writing it (it holds {lock})") from error
    except OSError as error:
        if not writer.part.exists():
            raise cannot_write(path, error) from error
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); the images decoded so far "
            f"are kept in {writer.part}, and the same command goes on from there."
            + (f" Free some space in {path.parent} first." if full else "")
        ) from error


def _units(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
