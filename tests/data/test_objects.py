"""Sizes and places of objects in label tables, and the masks that depend on them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import write_coco

from satl.core.errors import UserError
from satl.data.formats.coco import read_coco
from satl.data.holdout import hold_out
from satl.data.objects import ObjectCounter
from satl.data.observe.salient import SalientObservation
from satl.data.table import LabelTable

SIZE = (100, 80)
CORNER = (35**2 + 25**2) ** -0.5  # 1 / distance of b below


@pytest.fixture(scope="module")
def table():
    """4000 images of a large object in a corner (b), a small one at the centre (c), and no a."""
    counter = ObjectCounter()
    for row in range(4000):
        counter.add(row, 1, (0, 0, 30, 30), SIZE, 900)
        counter.add(row, 2, (45, 35, 10, 10), SIZE, 60)
        counter.add(row, 2, (55, 35, 10, 10), SIZE, 40)
    labels = np.tile(np.array([-1, 1, 1], np.int8), (4000, 1))
    names = tuple(f"{i}.jpg" for i in range(4000))
    return LabelTable("x", names, np.arange(4000), tuple("abc"), labels, objects=counter.objects())


def salient(**options):
    return SalientObservation(**{"by": "size", "seed": 3} | options)


def test_objects_are_summed_by_image_and_category(table):
    objects = table.objects
    assert objects.rows[:4].tolist() == [0, 0, 1, 1]
    assert objects.area[:2].tolist() == [900, 100]
    # The first is at the very centre, which counts as a distance of one pixel; the other is 10 off.
    assert objects.closeness[1] == pytest.approx(1 + 1 / 10)


def test_objects_follow_their_images(table, tmp_path):
    rows = np.array([5, 2, 9])
    counter = ObjectCounter()
    for row, area in ((2, 20), (5, 50), (7, 70)):
        counter.add(row, 1, (0, 0, 1, 1), SIZE, area)
    selected = replace(table, objects=counter.objects()).select(rows)
    assert selected.objects.rows.tolist() == [0, 1]
    assert selected.objects.area.tolist() == [50, 20]
    selected.save(tmp_path / "t.npz")
    loaded = LabelTable.load(tmp_path / "t.npz")
    assert loaded.objects.area.tolist() == [50, 20]
    assert loaded.digest() == selected.digest() == replace(selected, objects=None).digest()
    kept, held_out = hold_out(table, 0.25)
    assert len(held_out.objects.rows) == 2 * len(held_out.file_names) == 2000
    assert len(kept.objects.rows) == 6000


def test_what_training_is_told_has_no_objects(table, tmp_path):
    for told in (salient().observe(table, "mine"), table.without_labels()):
        told.save(tmp_path / "t.npz")
        with np.load(tmp_path / "t.npz") as arrays:
            assert not [name for name in arrays.files if name.startswith("object")]


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ({}, 0.9),
        ({"strength": 0}, 0.5),
        ({"strength": 2}, 0.81 / 0.82),
        ({"by": "centre", "strength": 0.5}, CORNER**0.5 / (CORNER**0.5 + 1.1**0.5)),
    ],
)
def test_one_positive_is_drawn_in_proportion(table, options, share):
    known = salient(**options).mask(table)
    assert (known.sum(1) == 1).all() and not known[:, 0].any()
    assert known[:, 1].mean() == pytest.approx(share, abs=0.02)


def test_several_positives_are_drawn_without_replacement(table):
    assert np.array_equal(salient(positives=2).mask(table), table.labels > 0)
    assert np.array_equal(salient(positives=5).mask(table), table.labels > 0)


def test_positives_without_a_box_come_last(table):
    labels = table.labels.copy()
    labels[:, 0] = 1
    assert not salient().mask(replace(table, labels=labels))[:, 0].any()
    alone = np.where([True, False, False], labels, -1).astype(np.int8)
    assert salient().mask(replace(table, labels=alone))[:, 0].all()


def test_a_table_without_boxes_is_refused(tmp_path):
    write_coco(tmp_path / "d", images=6, seed=5)
    path = tmp_path / "d/instances.json"
    assert read_coco(path, tmp_path / "d/images").objects is not None
    content = json.loads(path.read_text())
    del content["images"][3]["width"]
    path.write_text(json.dumps(content))
    table = read_coco(path, tmp_path / "d/images")
    has_one = 10 * 3 + 7 in {a["image_id"] for a in content["annotations"]}
    assert (table.objects is None) == has_one
    with pytest.raises(UserError, match="each annotation needs a `bbox`, and each image `width`"):
        salient().mask(replace(table, objects=None))
