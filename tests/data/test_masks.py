"""Masks as files: handed on, read back and compared."""

import re
from dataclasses import replace

import numpy as np
import pytest

from satl.cli import main
from satl.core.errors import UserError
from satl.data.masks import Mask
from satl.data.observe.file import FileObservation
from satl.data.splits import split
from satl.data.table import LabelTable


@pytest.fixture
def files(tmp_path, train_table, observed):
    """A full table, a split of it, and the mask of the split."""
    train_table.save(tmp_path / "train.npz")
    observed.save(tmp_path / "observed.npz")
    Mask.of(observed).save(tmp_path / "mask.npz")
    return tmp_path


def satl_split(folder, *words):
    return main(["split", *(str(folder / w) if w.endswith("npz") else w for w in words)])


def test_a_mask_reads_back(files, observed):
    mask = Mask.load(files / "mask.npz")
    assert np.array_equal(mask.known, observed.labels != 0)
    assert mask.digest() == Mask.of(observed).digest()
    assert mask.info["observe"] == {"kind": "random", "seed": 0, "known_ratio": 0.5}


def test_an_imported_mask_hides_the_same_labels(files, observed):
    assert satl_split(files, "train.npz", "--mask", "mask.npz", "--out", "again.npz") == 0
    again = LabelTable.load(files / "again.npz")
    assert again.digest() == observed.digest()
    assert again.info["known_ratio"] == "mask"
    assert again.info["mask_sha256"] == observed.info["mask_sha256"]


def test_the_same_mask_is_verified_however_it_was_made(files, capsys):
    assert satl_split(files, "observed.npz", "--verify", "mask.npz") == 0
    assert f'"sha256": "{Mask.load(files / "mask.npz").digest()}"' in capsys.readouterr().out
    ways = (["--known-ratio", "0.5"], ["--observe", "x: {kind: random, known_ratio: 0.5}"])
    for way in (*ways, ["--mask", "mask.npz"]):
        words = ["train.npz", *way, "--verify", "mask.npz", "--mask-out", "copy.npz"]
        assert satl_split(files, *words) == 0
        assert Mask.load(files / "copy.npz").digest() == Mask.load(files / "mask.npz").digest()


def test_another_mask_is_told_apart(files, capsys, train_table):
    words = ["train.npz", "--known-ratio", "0.5", "--seed", "1", "--verify", "mask.npz"]
    assert satl_split(files, *words, "--out", "never.npz") == 2
    error = capsys.readouterr().err
    different = (split(train_table, 0.5).labels != 0) != (split(train_table, 0.5, 1).labels != 0)
    assert f"mask.npz: another mask: {different.sum()} of 96 labels" in error
    assert not (files / "never.npz").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"categories": ("red", "green", "blue", "black")}, "other categories: number 4 is 'dark'"),
        ({"file_names": tuple(f"{i}.png" for i in range(24))}, "other images: it lacks 24 of"),
    ],
)
def test_a_mask_of_something_else_is_named(files, train_table, change, message):
    other = replace(train_table, **change)
    with pytest.raises(UserError, match=rf"mask\.npz: a mask of {message}"):
        FileObservation(path=str(files / "mask.npz")).observe(other, "x")


def test_a_mask_may_have_more_images_than_the_table(files, train_table, observed):
    kept = np.arange(3, 20)
    part = FileObservation(path=str(files / "mask.npz")).observe(train_table.select(kept), "x")
    assert np.array_equal(part.labels, observed.labels[kept])


def test_a_mask_of_other_images_is_named_by_their_number(files, train_table):
    with pytest.raises(UserError, match="other images: 24, but the table has 3"):
        Mask.load(files / "mask.npz").check_is_of(train_table.select(np.arange(3)), "m")


def test_the_digest_can_be_asked_for(files, train_table, observed):
    digest = Mask.of(observed).digest()
    given = {"path": str(files / "mask.npz"), "sha256": digest[:12]}
    assert FileObservation(**given).observe(train_table, "x").digest() == observed.digest()
    with pytest.raises(UserError, match=rf"its digest is {digest}, not 0123456789ab"):
        FileObservation(**given | {"sha256": "0123456789ab"}).observe(train_table, "x")


def test_an_edited_mask_is_noticed(files):
    with np.load(files / "mask.npz") as stored:
        arrays = dict(stored)
    arrays["known"][0] ^= 1
    np.savez(files / "mask.npz", **arrays)
    with pytest.raises(UserError, match=r"mask\.npz: damaged or edited"):
        Mask.load(files / "mask.npz")
    with pytest.raises(UserError, match=r"train\.npz: not a mask"):
        Mask.load(files / "train.npz")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.npz", "--known-ratio", "0.5"], "nothing to do: give --out, --mask-out or"),
        (["observed.npz", "--out", "x.npz"], "give --known-ratio, --observe or --mask"),
        (["train.npz", "--verify", "nowhere.npz"], "nowhere.npz: no such mask"),
    ],
)
def test_what_is_missing_is_said(files, capsys, words, message):
    assert satl_split(files, *words) == 2
    assert re.search(message, capsys.readouterr().err)
