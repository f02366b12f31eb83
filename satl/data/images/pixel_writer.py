"""Writing a pixel file: under another name until it is complete, going on where it stopped."""

import contextlib
import errno
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from satl.core.errors import UserError
from satl.data.images.pixels import (
    EMPTY,
    FORMAT,
    PAGE,
    Layout,
    file_facts,
    names_digest,
    read_facts,
    read_header,
)
from satl.data.table import LabelTable

logger = logging.getLogger(__name__)
SAVE_SECONDS = 10  # between two times that what was decoded is made safe


class PixelWriter:
    """The unfinished pixel file of one table; its pixels are written by other processes.

    Attributes:
        part: the file while it is unfinished.
        facts: (slots, 2) int64, size and time of change of the image files decoded so far.
    """

    def __init__(self, path: Path, table: LabelTable, side: int) -> None:
        self.path, self.table = path, table
        self.part = path.with_name(f".{path.name}.part")
        self.layout = Layout(len(table.file_names), side)
        self.facts = np.full((self.layout.slots, 2), EMPTY, np.int64)
        self._header = {
            "format": FORMAT, "slots": self.layout.slots, "side": side,
            "all_names": names_digest(table.file_names),
        }  # fmt: skip
        self._saved = time.monotonic()

    def start(self) -> np.ndarray:
        """Make the file or take up an unfinished one; returns the rows still to be decoded.

        Raises:
            UserError: the disk has not enough space for the file.
        """
        resumed = self._resume()
        self._check_space()
        if resumed:
            # At once, lest pixels of a changed file be written under the facts of the old one.
            self.save()
            logger.info("%s: going on after %d images", self.path, (self.facts[:, 0] >= 0).sum())
        else:
            with open(self.part, "wb") as file:
                file.write(_page(self._header))
                file.write(self.facts.tobytes())
                file.truncate(self.layout.total)
        return np.flatnonzero(self.facts[:, 0] == EMPTY)

    def _resume(self) -> bool:
        try:
            if read_header(self.part) != self._header:
                return False
            found = read_facts(self.part, self.layout.slots)
        except (OSError, ValueError):
            return False
        now = np.array([file_facts(path) for path in self.table.paths()], np.int64)
        same = (found == now.reshape(-1, 2)).all(1)
        self.facts[same] = found[same]
        return True

    def _check_space(self) -> None:
        size, there = self.layout.total, 0
        with contextlib.suppress(OSError):
            there = self.part.stat().st_blocks * 512
        free = shutil.disk_usage(self.part.parent).free
        side = self.layout.side
        text = (
            f"{self.layout.slots} decoded images of 3 × {side} × {side} bytes take {_units(size)}"
        )
        logger.info("%s: %s; %s free", self.path, text, _units(free))
        if size - there > free:
            raise UserError(
                f"{self.path}: {text}, but only {_units(free)} are free in {self.path.parent}; "
                "free some space there, or set training.image_cache to none or memory"
            )

    def add(self, rows: Sequence[int], facts: Sequence[tuple[int, int]]) -> None:
        """The pixels of `rows` are written; `facts` are those of their files."""
        if len(rows):
            self.facts[rows] = facts
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Make safe what is written: first pixels, then that they are there."""
        with open(self.part, "r+b") as file:
            os.fsync(file.fileno())
            file.seek(PAGE)
            file.write(self.facts.tobytes())
            file.flush()
            os.fsync(file.fileno())
        self._saved = time.monotonic()

    def complete(self, kept: LabelTable) -> None:
        """Give the file its name; `kept` is the table of the images that it holds."""
        self.save()
        with open(self.part, "r+b") as file:
            file.write(_page(self._header | {"names": names_digest(kept.file_names)}))
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.part, self.path)


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
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); the images decoded so far "
            f"are kept in {writer.part}, and the same command goes on from there."
            + (f" Free some space in {path.parent} first." if full else "")
        ) from error


def write_image(part: Path, layout: Layout, row: int, image: np.ndarray) -> None:
    """Write one image, (side, side, 3) uint8, to its slot. Raises OSError."""
    # Not through a memory map: there a full disk would kill the process without a word.
    with open(part, "r+b") as file:
        file.seek(layout.start + row * layout.image_bytes)
        file.write(np.ascontiguousarray(image.transpose(2, 0, 1)).data)


def _page(header: dict) -> bytes:
    return json.dumps(header).encode().ljust(PAGE)


def _units(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
