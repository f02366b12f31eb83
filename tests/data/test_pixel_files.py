"""Pixel files are whole, and of this table, or refused."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pixel_trials import SIDE, decoded, large_table, truncate

from satl.core.errors import UserError
from satl.data.images import pixels
from satl.data.images.pixels import SAMPLE, open_pixels
from satl.data.images.prepare import prepare_images


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
