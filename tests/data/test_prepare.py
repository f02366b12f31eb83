"""Decoding everything once: unreadable files, files fetched again, digests."""

import hashlib
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pixel_trials import SIDE, decoded, names, pixels_of, record_decoding, truncate

from satl.core.errors import UserError
from satl.data.images import prepare
from satl.data.images.pixels import open_pixels
from satl.data.images.prepare import prepare_images
from satl.data.splits import split
from satl.data.table import LabelTable


@pytest.fixture(params=[1, 2], ids=["serial", "parallel"])
def workers(request, monkeypatch):
    monkeypatch.setattr(prepare, "IMAGES_PER_PROCESS", 1)
    return request.param


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
