"""Decoding everything once: unreadable files, and pixel files that are whole or absent."""

import errno
import hashlib
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
from PIL import Image

from satl.core.errors import UserError
from satl.data.images import pixel_writer, pixels, prepare
from satl.data.images.pixel_writer import Slots
from satl.data.images.pixels import SAMPLE, open_pixels, read_description
from satl.data.images.prepare import prepare_images
from satl.data.images.reading import decode, decode_bytes
from satl.data.splits import split
from satl.data.table import LabelTable

SIDE = 20


@pytest.fixture
def table(train_table, tmp_path) -> LabelTable:
    """A table of 24 images that a test may damage."""
    shutil.copytree(train_table.folder, tmp_path / "images")
    return replace(train_table, folder=str(tmp_path / "images"))


@pytest.fixture(params=[1, 2], ids=["serial", "parallel"])
def workers(request, monkeypatch):
    monkeypatch.setattr(prepare, "IMAGES_PER_PROCESS", 1)
    return request.param


def truncate(table, *rows):
    for row in rows:
        path = table.paths()[row]
        path.write_bytes(path.read_bytes()[:-300])


def names(folder):
    return {path.name for path in folder.iterdir()}


def pixels_of(path, table, side=SIDE):
    out = np.empty((len(table.file_names), 3, side, side), np.uint8)
    open_pixels(path, table, side).gather(range(len(out)), out)
    return out


def decoded(table, side=SIDE):
    return np.stack([decode(path, side).transpose(2, 0, 1) for path in table.paths()])


def test_pixels_are_those_of_decoding_in_any_number_of_processes(table, tmp_path, workers):
    result = prepare_images(table, workers=workers, pixels=tmp_path / "p.npy", side=SIDE)
    assert result.info["unreadable_dropped"] == 0
    assert result.digest() == table.digest()
    assert np.array_equal(pixels_of(tmp_path / "p.npy", result), decoded(table))
    prepare_images(table, pixels=tmp_path / "q.npy", side=SIDE)
    assert (tmp_path / "p.npy").read_bytes() == (tmp_path / "q.npy").read_bytes()
    assert names(tmp_path) == {"images", "p.npy", "p.json", "q.npy", "q.json"}


@pytest.mark.parametrize("side", [None, SIDE])
def test_all_unreadable_images_are_named(table, tmp_path, workers, side):
    truncate(table, 3, 20)
    table.paths()[5].write_bytes(b"no picture")
    pixels = tmp_path / "p.npy" if side else None
    with pytest.raises(UserError) as error:
        prepare_images(table, workers=workers, pixels=pixels, side=side)
    message = str(error.value)
    assert "3 of 24 images cannot be decoded" in message
    for name in ("0003.jpg: ", "0005.jpg: ", "0020.jpg: "):
        assert f"\n  {name}" in message
    assert "truncated" in message
    assert "unreadable: drop" in message
    assert not (tmp_path / "p.npy").exists()


@pytest.mark.parametrize("side", [None, SIDE])
def test_unreadable_images_are_dropped_where_asked(table, tmp_path, workers, side):
    truncate(table, 0, 7)
    pixels = tmp_path / "p.npy" if side else None
    result = prepare_images(
        table, unreadable="drop", workers=workers, pixels=pixels, side=side
    )  # fmt: skip
    rows = [row for row in range(24) if row not in (0, 7)]
    assert result.file_names == tuple(table.file_names[row] for row in rows)
    assert np.array_equal(result.labels, table.labels[rows])
    assert np.array_equal(result.image_ids, table.image_ids[rows])
    assert result.info["unreadable_dropped"] == 2
    assert result.info["unreadable_names"] == ["0000.jpg", "0007.jpg"]
    if side:
        assert np.array_equal(pixels_of(pixels, result), decoded(result))
        with pytest.raises(UserError, match="its 22 images are not the 24 of this table"):
            open_pixels(pixels, table, SIDE)


def test_a_table_of_which_nothing_is_left(table):
    truncate(table, *range(24))
    with pytest.raises(UserError, match="none of 24 images can be decoded"):
        prepare_images(table, unreadable="drop")


def test_files_that_cannot_be_opened_are_never_dropped(table):
    path = table.paths()[4]
    path.unlink()
    with pytest.raises(UserError, match=r"0004\.jpg: cannot be read \(No such file"):
        prepare_images(table, unreadable="drop")
    path.mkdir()
    with pytest.raises(UserError, match=r"0004\.jpg: cannot be opened \(Is a directory"):
        prepare_images(table, unreadable="drop")


def test_files_fetched_again_are_the_only_ones_decoded_again(table, tmp_path, monkeypatch):
    good = table.paths()[3].read_bytes()
    truncate(table, 3)
    with pytest.raises(UserError, match=r"0003\.jpg"):
        prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    table.paths()[3].write_bytes(good)
    os.utime(table.paths()[9], ns=(1, 1))
    seen = record_decoding(monkeypatch)
    prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    assert seen == [table.paths()[3], table.paths()[9]]
    assert np.array_equal(pixels_of(tmp_path / "p.npy", table), decoded(table))


def record_decoding(monkeypatch):
    seen = []

    def recording(data, path, side):
        seen.append(path)
        return decode_bytes(data, path, side)

    monkeypatch.setattr(prepare, "decode_bytes", recording)
    return seen


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


def large_table(folder, count):
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    first = folder / "images/0.jpg"
    Image.fromarray(rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)).save(first)
    for index in range(1, count):
        shutil.copy(first, folder / f"images/{index}.jpg")
    return LabelTable(
        str(folder / "images"), tuple(f"{index}.jpg" for index in range(count)),
        np.arange(count), ("a",), np.ones((count, 1), np.int8),
    )  # fmt: skip


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


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path, table: path.unlink(), "no such file of decoded images"),
        (lambda path, table: path.with_suffix(".json").unlink(), "no such description of decoded"),
        (lambda path, table: path.with_suffix(".json").write_text("{"), "not a file of decoded"),
        (lambda path, table: path.write_bytes(b"x" * 9000), "not a file of decoded images"),
        (lambda path, table: path.write_bytes(path.read_bytes()[:-1]), "not a file of decoded"),
        (lambda path, table: np.save(path, np.zeros((2, 3, 4, 4), np.uint8)), "for 24 images"),
        (lambda path, table: truncate(table, 6), r"0006\.jpg has changed since"),
    ],
    ids=["missing", "undescribed", "half described", "foreign", "cut", "other", "changed"],
)
def test_a_file_that_does_not_fit_is_refused(table, tmp_path, damage, message):
    prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    damage(tmp_path / "p.npy", table)
    with pytest.raises(UserError, match=message) as error:
        open_pixels(tmp_path / "p.npy", table, SIDE)
    assert "satl images --pixels-out" in str(error.value)


def test_another_table_and_another_side_are_refused(table, test_table, tmp_path):
    prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    with pytest.raises(UserError, match=r"have 20 pixels, not 24; delete .*/p\.npy and run again"):
        open_pixels(tmp_path / "p.npy", table, 24)
    with pytest.raises(UserError, match="its 24 images are not the 12 of this table"):
        open_pixels(tmp_path / "p.npy", test_table, SIDE)
    other_order = replace(table, file_names=table.file_names[::-1])
    with pytest.raises(UserError, match="are not the 24 of this table"):
        open_pixels(tmp_path / "p.npy", other_order, SIDE)


def test_an_unfinished_file_is_not_read(table, tmp_path):
    truncate(table, 3)
    with pytest.raises(UserError):
        prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    (tmp_path / ".p.npy.part").rename(tmp_path / "p.npy")
    with pytest.raises(UserError, match="no such description of decoded images"):
        open_pixels(tmp_path / "p.npy", table, SIDE)
    (tmp_path / ".p.json.part").rename(tmp_path / "p.json")
    with pytest.raises(UserError, match="its 23 images are not the 24 of this table"):
        open_pixels(tmp_path / "p.npy", table, SIDE)


def test_any_tool_can_open_the_file(table, tmp_path):
    prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    assert np.array_equal(np.load(tmp_path / "p.npy"), decoded(table))


def test_touched_or_copied_files_are_the_same_images(table, tmp_path):
    """Their times count only for what is decoded again, their content for what is refused."""
    prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    os.utime(table.paths()[6], ns=(5, 5))
    shutil.copytree(table.folder, tmp_path / "elsewhere")
    for folder in (table.folder, str(tmp_path / "elsewhere")):
        assert len(open_pixels(tmp_path / "p.npy", replace(table, folder=folder), SIDE)) == 24


def test_images_of_other_content_than_the_table_are_refused(table, tmp_path):
    """Whichever image it is: without looking at a single image file."""
    prepared = prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    shutil.rmtree(table.folder)
    digests = prepared.file_digests.copy()
    digests[13, 0] ^= 1
    with pytest.raises(UserError, match=r"0013\.jpg has changed since"):
        open_pixels(tmp_path / "p.npy", replace(prepared, file_digests=digests), SIDE)


def test_opening_asks_for_a_sample_of_the_files_alone(tmp_path, monkeypatch):
    table = large_table(tmp_path, 3 * SAMPLE)
    prepare_images(table, pixels=tmp_path / "p.npy", side=8)
    asked = []
    real = pixels.size_and_mtime
    monkeypatch.setattr(pixels, "size_and_mtime", lambda path: (asked.append(path), real(path))[1])
    open_pixels(tmp_path / "p.npy", table, 8)
    assert len(set(asked)) == len(asked) == SAMPLE
    assert {table.paths()[0], table.paths()[-1]} <= set(asked)


def test_the_digests_are_those_of_the_files(table, tmp_path, workers):
    truncate(table, 3)
    result = prepare_images(
        table, unreadable="drop", workers=workers, pixels=tmp_path / "p.npy", side=SIDE
    )
    expected = [hashlib.sha256(path.read_bytes()).digest() for path in result.paths()]
    assert [digest.tobytes() for digest in result.file_digests] == expected
    assert result.images_sha256 == hashlib.sha256(b"".join(expected)).hexdigest()
    checked = prepare_images(table, unreadable="drop", workers=workers)
    assert checked.images_sha256 == result.images_sha256


def test_resuming_keeps_the_digests_of_what_was_decoded(table, tmp_path):
    good = table.paths()[3].read_bytes()
    truncate(table, 3)
    with pytest.raises(UserError, match=r"0003\.jpg"):
        prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    table.paths()[3].write_bytes(good)
    resumed = prepare_images(table, pixels=tmp_path / "p.npy", side=SIDE)
    assert resumed.images_sha256 == prepare_images(table).images_sha256


def test_digests_stay_with_a_table_and_not_with_its_folder(table, tmp_path):
    prepared = prepare_images(table)
    assert table.images_sha256 is None
    for derived in (prepared.without_labels(), split(prepared, 0.5)):
        derived.save(tmp_path / "t.npz")
        assert LabelTable.load(tmp_path / "t.npz").images_sha256 == prepared.images_sha256
    assert prepared.annotated().file_digests.shape == (len(prepared.annotated().file_names), 32)
    shutil.copytree(table.folder, tmp_path / "elsewhere")
    moved = replace(table, folder=str(tmp_path / "elsewhere"))
    assert prepare_images(moved).images_sha256 == prepared.images_sha256
    data = bytearray(moved.paths()[7].read_bytes())
    data[-1] ^= 1
    moved.paths()[7].write_bytes(data)
    assert prepare_images(moved, unreadable="drop").images_sha256 != prepared.images_sha256
