"""Building a file of pixels: killed, out of space, by two processes."""

import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pixel_trials import SIDE, decoded, large_table, names, pixels_of, record_decoding, truncate

from satl.core.errors import UserError
from satl.data.images import pixel_writer
from satl.data.images.pixel_writer import Slots
from satl.data.images.pixels import read_description
from satl.data.images.prepare import prepare_images


@pytest.mark.parametrize("change", ["side", "table", "garbage"])
def test_an_unfinished_file_of_something_else_is_not_gone_on_with(table, tmp_path, change):
    truncate(table, 3)
    first = replace(table, file_names=table.file_names[::-1]) if change == "table" else table
    with pytest.raises(UserError):
        prepare_images(first, pixels=tmp_path / "p.npy", side=12 if change == "side" else SIDE)
    assert (tmp_path / ".p.npy.part").exists()
    if change == "garbage":
        (tmp_path / ".p.npy.part").write_bytes(b"\xff{")
    result = prepare_images(table, unreadable="drop", pixels=tmp_path / "p.npy", side=SIDE)
    assert np.array_equal(pixels_of(tmp_path / "p.npy", result), decoded(result))


KILLED = """
import sys
from satl.data.images import pixel_writer
from satl.data.images import prepare
from satl.cli import main
pixel_writer.SAVE_SECONDS, prepare.IMAGES_PER_PROCESS = 0, 1
main(sys.argv[1:])
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_a_killed_build_leaves_no_process_and_is_gone_on_with(tmp_path, monkeypatch):
    table, path = large_table(tmp_path, 400), tmp_path / "p.npy"
    table.save(tmp_path / "t.npz")
    command = [
        "images", "t.npz", "--side", "64", "--pixels-out", "p.npy", "--out", "o.npz",
        "--workers", "2",
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *command], cwd=tmp_path, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    until(lambda: saved(tmp_path) >= 32, process)
    task = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    children = task.read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(children) >= 2
    until(lambda: not any(Path(f"/proc/{child}/root").exists() for child in children))
    assert not path.exists()
    done = saved(tmp_path)
    seen = record_decoding(monkeypatch)
    prepare_images(table, pixels=path, side=64)
    assert len(seen) == 400 - done < 400
    assert np.array_equal(pixels_of(path, table, 64), decoded(table, 64))


def saved(folder):
    description = folder / ".p.json.part"
    return sum(map(bool, read_description(description))) if description.exists() else 0


def until(condition, process=None):
    deadline = time.monotonic() + 60
    while not condition():
        assert process is None or process.poll() is None, "ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_two_processes_do_not_write_the_same_file(table, tmp_path):
    with (
        pixel_writer.pixel_writer(tmp_path / "p.npy", table, SIDE),
        pytest.raises(UserError, match=r"p\.npy: another process is writing it"),
    ):
        prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)


def test_the_size_is_told_and_a_disk_too_small_refused(table, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "satl")
    prepare_images(table, pixels=tmp_path / "p.npy", side=400)
    assert "24 decoded images of 3 × 400 × 400 bytes take 11.5 MB" in caplog.text
    assert np.load(tmp_path / "p.npy", mmap_mode="r").shape == (24, 3, 400, 400)
    usage = shutil.disk_usage(tmp_path)._replace(free=11_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"q\.npy: .* but only 11\.0 MB are free in .*image_cache"):
        prepare_images(table, pixels=tmp_path / "q.npy", side=400)
    assert names(tmp_path) == {"images", "p.npy", "p.json", ".q.npy.lock"}


def test_a_disk_that_fills_up_stops_and_goes_on_later(table, tmp_path, monkeypatch):
    def full(slots, row, image):
        if row == 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(slots, row, image)

    write = Slots.write
    monkeypatch.setattr(Slots, "write", full)
    monkeypatch.setattr(pixel_writer, "SAVE_SECONDS", 0)
    with pytest.raises(
        UserError,
        match=r"p\.npy: cannot be written \(No space left .* goes on from there.*Free",
    ):
        prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    assert not (tmp_path / "p.npy").exists()
    monkeypatch.setattr(Slots, "write", write)
    seen = record_decoding(monkeypatch)
    prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    assert seen == table.paths()[16:]
    assert np.array_equal(pixels_of(tmp_path / "p.npy", table), decoded(table))
