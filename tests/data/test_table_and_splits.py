import itertools

import numpy as np
import pytest
from conftest import golden

from satl.core.errors import UserError
from satl.data.splits import known_mask, observed_labels, split, uniform_observed
from satl.data.table import LabelTable, check_same_categories


def test_masks_are_the_published_ones_bit_for_bit():
    g = golden("partial_labels")
    for tenths in range(1, 10):
        found = observed_labels(g["labels"], tenths / 10)
        assert found.dtype == np.int8
        assert np.array_equal(found, g[f"ratio_{tenths}"])


@pytest.mark.parametrize("name", ["pos1_neg0_seed1200", "pos1_neg1_seed0", "pos2_neg3_seed7"])
def test_labels_per_image_are_the_published_ones_bit_for_bit(name):
    g = golden(f"losses/mask_uniform_{name}")
    numbers = int(g["num_pos"]), int(g["num_neg"]), int(g["seed"])
    found = uniform_observed(g["labels"], *numbers)
    assert found.dtype == np.int8
    assert np.array_equal(found, g["observed"])


def test_an_image_with_fewer_labels_keeps_all_of_them():
    labels = np.array([[1, -1, -1], [-1, -1, -1]], np.int8)
    assert np.array_equal(uniform_observed(labels, 2, 3), labels)
    with pytest.raises(UserError, match="neither can be negative"):
        uniform_observed(labels, -1, 0)


def test_masks_are_nested_and_reach_everything():
    masks = [known_mask((200, 9), tenths / 10, seed=3) for tenths in range(1, 11)]
    for small, large in itertools.pairwise(masks):
        assert not (small & ~large).any()
    assert masks[-1].all()
    assert not np.array_equal(masks[4], known_mask((200, 9), 0.5, seed=4))


@pytest.mark.parametrize("ratio", [0, -0.1, 1.01, float("nan")])
def test_a_ratio_outside_0_1_is_refused(train_table, ratio):
    with pytest.raises(UserError, match=r"known ratio .* outside \(0, 1\]"):
        split(train_table, ratio)


def test_split_records_how_it_was_made(train_table):
    first, again = split(train_table, 0.5), split(train_table, 0.5)
    assert first.info == again.info
    assert first.info["realised_known_ratio"] == (first.labels != 0).mean()
    assert first.info["known_ratio"] == 0.5
    assert first.info["mask_sha256"] != split(train_table, 0.5, seed=1).info["mask_sha256"]
    kept = first.labels != 0
    assert np.array_equal(first.labels[kept], train_table.labels[kept])


def test_a_split_without_positives_is_refused(train_table):
    with pytest.raises(UserError, match="an empty split"):
        split(train_table, 0.0001)


def test_save_and_load(tmp_path, observed):
    observed.save(tmp_path / "t.npz")
    loaded = LabelTable.load(tmp_path / "t.npz")
    assert loaded.digest() == observed.digest()
    assert loaded.info == observed.info
    assert loaded.paths() == observed.paths()
    assert np.array_equal(loaded.image_ids, observed.image_ids)


def test_withheld_labels_leave_no_trace_in_the_file(tmp_path, test_table):
    test_table.without_labels().save(tmp_path / "t.npz")
    loaded = LabelTable.load(tmp_path / "t.npz")
    assert not loaded.labels.any()
    assert loaded.info == {"labels": "withheld"}


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04broken"])
def test_a_foreign_file_is_named(tmp_path, content):
    path = tmp_path / "t.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"t\.npz: not a label table"):
        LabelTable.load(path)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.npz: no such label table"):
        LabelTable.load(tmp_path / "nowhere.npz")


def test_different_categories_are_named(train_table):
    other = LabelTable(
        "x", ("a.jpg",), np.array([1]), ("red", "green", "pink", "dark"), np.ones((1, 4), np.int8)
    )
    with pytest.raises(UserError, match=r"only in training: \['blue'\], only in test: \['pink'\]"):
        check_same_categories(train_table, other)
    check_same_categories(train_table, train_table)
