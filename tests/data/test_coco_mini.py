"""Real COCO photographs, where a checkout has them beside it; they are not part of the project."""

from pathlib import Path

import pytest

from satl.data.formats.coco import read_coco
from satl.data.images.batches import read_image
from satl.data.table import check_same_categories

MINI = Path(__file__).parents[3] / "shared/coco-mini"
pytestmark = pytest.mark.skipif(not MINI.is_dir(), reason="the photographs are not here")


@pytest.fixture(scope="module")
def tables():
    return {
        part: read_coco(MINI / f"annotations/instances_{part}2017.json", MINI / f"{part}2017")
        for part in ("train", "val")
    }


def test_counts(tables):
    assert len(tables["train"].file_names) == 80
    assert len(tables["val"].file_names) == 79
    assert len(tables["train"].categories) == 80
    assert tables["train"].categories[0] == "person"
    assert tables["train"].categories[-1] == "toothbrush"
    assert tables["train"].info["crowd_annotations"] == 8
    check_same_categories(tables["train"], tables["val"])


def test_every_photograph_can_be_read(tables):
    for table in tables.values():
        for path in table.paths():
            assert read_image(path, 64).shape == (3, 64, 64)
