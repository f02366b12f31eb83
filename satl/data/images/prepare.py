"""Decode every image of a table once: which are unreadable, and the pixel file if one is wanted."""

import hashlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from satl.core.errors import UserError
from satl.data.images.pixel_writer import PixelWriter, Slots, pixel_writer
from satl.data.images.pixels import ImageFile, size_and_mtime
from satl.data.images.reading import Undecodable, decode_bytes, read_file
from satl.data.table import LabelTable

CHUNK = 16  # images a process decodes before it reports
# Fewer are decoded before a second process has started.
IMAGES_PER_PROCESS = 1000


@dataclass(frozen=True)
class _Chunk:
    """Images for one process: rows of the table, their names, and where their pixels go."""

    folder: Path
    names: dict[int, str]
    slots: Slots | None


@dataclass
class _Done:
    """What became of a chunk, by row: files that were decoded, and why others could not be."""

    decoded: dict[int, ImageFile] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


def prepare_images(
    table: LabelTable,
    *,
    unreadable: Literal["stop", "drop"] = "stop",
    workers: int = 1,
    pixels: Path | None = None,
    side: int | None = None,
) -> LabelTable:
    """Decode all images of `table`; returns it, without the unreadable ones if those are dropped.

    The result has the digests of the images' files; its `info` says how many were dropped
    (`unreadable_dropped`) and which (`unreadable_names`).

    Args:
        table: its images.
        unreadable: whether files that cannot be decoded stop or leave the table.
        workers: processes at most.
        pixels: the pixel file to write, of images of `side` × `side`; none: only check them.
        side: see `pixels`.

    Raises:
        UserError: some images are unreadable (all are named) and `unreadable` is stop; none is
            left; a file cannot be opened; the pixel file cannot be written.
    """
    if pixels is None:
        done = _decode_all(_chunks(table, range(len(table.file_names)), None), workers, None)
        return _readable(table, done.decoded, done.failed, unreadable)
    if side is None:
        raise ValueError("pixels need a side")
    with pixel_writer(pixels, table, side) as writer:
        slots = writer.start()
        done = _decode_all(_chunks(table, writer.missing(), slots), workers, writer)
        writer.save()
        decoded = {row: file for row, file in enumerate(writer.files) if file}
        kept = _readable(table, decoded, done.failed, unreadable)
        writer.complete()
    return kept


def _chunks(table: LabelTable, rows: Sequence[int], slots: Slots | None) -> list[_Chunk]:
    blocks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    return [
        _Chunk(Path(table.folder), {row: table.file_names[row] for row in block}, slots)
        for block in blocks
    ]


def _decode_all(chunks: list[_Chunk], workers: int, writer: PixelWriter | None) -> _Done:
    whole = _Done()
    total = sum(len(chunk.names) for chunk in chunks)
    workers = min(workers, -(-total // IMAGES_PER_PROCESS))
    run = _parallel if workers > 1 else _serial
    with tqdm(total=total, desc="decode", unit="image", mininterval=1) as bar:
        for done in run(_decode_chunk, chunks, workers):
            whole.decoded |= done.decoded
            whole.failed |= done.failed
            if writer:
                writer.add(done.decoded.items())
            bar.update(len(done.decoded) + len(done.failed))
    return whole


def _decode_chunk(chunk: _Chunk) -> _Done:
    done = _Done()
    for row, name in chunk.names.items():
        path = chunk.folder / name
        facts = size_and_mtime(path)  # before reading: a file changed meanwhile is noticed later
        data = read_file(path)
        try:
            image = decode_bytes(data, path, chunk.slots.side if chunk.slots else None)
        except Undecodable as error:
            done.failed[row] = str(error.__cause__)
            continue
        if chunk.slots:
            chunk.slots.write(row, image)
        done.decoded[row] = ImageFile(name, *facts, hashlib.sha256(data).hexdigest())
    return done


def _serial(
    function: Callable[[_Chunk], _Done], chunks: list[_Chunk], workers: int
) -> Iterator[_Done]:
    yield from map(function, chunks)


def _parallel(
    function: Callable[[_Chunk], _Done], chunks: list[_Chunk], workers: int
) -> Iterator[_Done]:
    # Not forked: the parent may have threads (torch's, say), and a fork could then hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_follow_parent)
    try:
        for future in as_completed([pool.submit(function, chunk) for chunk in chunks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a process that decodes images was killed, for want of memory perhaps; run the same "
            "command again with fewer --workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """Ctrl-C is the parent's affair; and without a parent there is nothing left to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _readable(
    table: LabelTable,
    decoded: Mapping[int, ImageFile],
    failed: Mapping[int, str],
    unreadable: Literal["stop", "drop"],
) -> LabelTable:
    count, rows = len(table.file_names), sorted(failed)
    if rows and unreadable == "stop":
        names = "\n".join(f"  {table.file_names[row]}: {failed[row]}" for row in rows)
        raise UserError(
            f"{table.folder}: {len(rows)} of {count} images cannot be decoded:\n{names}\n"
            "Fetch these files again, or set `unreadable: drop` in the data set's config "
            "(`--unreadable drop`) to continue without them."
        )
    if len(rows) == count:
        raise UserError(f"{table.folder}: none of {count} images can be decoded")
    keep = np.setdiff1d(np.arange(count), rows)
    digests = b"".join(bytes.fromhex(decoded[row].sha256) for row in keep.tolist())
    return replace(
        table.select(keep),
        file_digests=np.frombuffer(digests, np.uint8).reshape(-1, 32),
        info={
            **table.info,
            "unreadable": unreadable,
            "unreadable_dropped": len(rows),
            "unreadable_names": [table.file_names[row] for row in rows],
        },
    )
