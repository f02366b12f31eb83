"""Annotations in LVIS's format: positives, verified negatives, and what nobody looked for."""

import json
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image
from test_formats import table_command

from satl.core.errors import UserError
from satl.data.formats.lvis import LvisFormat
from satl.data.table import LabelTable

URL = "http://images.cocodataset.org"


@pytest.fixture
def folder(tmp_path):
    """Two images as LVIS 1.0 has them, and three categories whose ids have gaps."""
    content = {
        "images": [
            image(9, "train2017/000000000009.jpg", negative=[7], not_exhaustive=[2]),
            image(4, "val2017/000000000004.jpg", negative=[2, 4], not_exhaustive=[]),
        ],
        "annotations": [{"id": 1, "image_id": 9, "category_id": 4, "bbox": [0, 0, 1, 1]}],
        "categories": [{"id": 7, "name": "sock"}, {"id": 2, "name": "cat"}, {"id": 4, "name": "d"}],
    }
    for record in content["images"]:
        path = tmp_path / "coco" / record["coco_url"].removeprefix(f"{URL}/")
        path.parent.mkdir(parents=True)
        Image.new("RGB", (16, 12)).save(path)
    (tmp_path / "lvis.json").write_text(json.dumps(content))
    return tmp_path


def image(number: int, path: str, negative: list[int], not_exhaustive: list[int]) -> dict:
    return {
        "id": number, "coco_url": f"{URL}/{path}", "neg_category_ids": negative,
        "not_exhaustive_category_ids": not_exhaustive,
    }  # fmt: skip


def edit(folder: Path, change) -> None:
    content = json.loads((folder / "lvis.json").read_text())
    change(content)
    (folder / "lvis.json").write_text(json.dumps(content))


def section(folder: Path) -> dict:
    part = {"images": str(folder / "coco"), "annotations": str(folder / "lvis.json")}
    return {"format": "lvis", "train": part, "test": part}


def read(folder: Path) -> LabelTable:
    return LvisFormat.model_validate(section(folder)).read("train")


def test_positives_verified_negatives_and_the_rest_unknown(folder):
    table = read(folder)
    assert table.categories == ("cat", "d", "sock")
    assert table.labels.tolist() == [[1, 1, -1], [-1, -1, 0]]
    assert table.image_ids.tolist() == [9, 4]
    assert table.file_names == ("train2017/000000000009.jpg", "val2017/000000000004.jpg")


def test_a_file_name_comes_before_a_url(folder):
    (folder / "coco/4.jpg").touch()
    edit(folder, lambda c: c["images"][1].update(file_name="4.jpg"))
    assert read(folder).file_names[1] == "4.jpg"


def test_through_the_table_command(folder):
    assert table_command(folder, section(folder), "--part", "test") == 0
    assert LabelTable.load(folder / "t.npz").labels.tolist() == [[1, 1, -1], [-1, -1, 0]]


def test_boxes_tell_sizes_and_places(folder):
    edit(folder, lambda c: c["images"][0].update(width=16, height=12))
    objects = read(folder).objects
    assert (objects.rows.tolist(), objects.columns.tolist()) == ([0], [1])
    assert objects.area.tolist() == [1]
    assert objects.closeness[0] == pytest.approx(1 / (7.5**2 + 5.5**2) ** 0.5)
    edit(folder, lambda c: c["annotations"][0].pop("bbox"))
    assert read(folder).objects is None


def test_annotations_are_not_held_in_memory(folder):
    outlines = [[0.5 + number for number in range(20_000)]] * 60
    edit(folder, lambda c: c["annotations"].extend(
        {"id": 2 + at, "image_id": 9, "category_id": 4, "bbox": [0, 0, 1, 1], "segmentation": one}
        for at, one in enumerate(outlines)
    ))  # fmt: skip
    read(folder)  # what is imported now does not count below
    tracemalloc.start()
    read(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = (folder / "lvis.json").stat().st_size
    assert size > 8e6 and peak < size / 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"][0].pop("neg_category_ids"), "image 9 has no list 'neg_category_i"),
        (lambda c: c["images"][0].update(neg_category_ids=[5]), r"known category ids \(5\)"),
        (lambda c: c["images"][0].update(neg_category_ids=[4]), "image 9 has category 4 both pre"),
        (lambda c: c["images"][1].pop("coco_url"), "image 4 has no `file_name` and no `coco_url`"),
        (lambda c: c["annotations"][0].update(category_id=5), "annotation 1 names category_id 5"),
        (lambda c: c.update(images=[], annotations=[]), "its list 'images' is missing or empty"),
        (lambda c: c.update(annotations=["x"]), "an entry of 'annotations' is no record"),
    ],
)
def test_inconsistent_annotations_are_named(folder, change, message):
    edit(folder, change)
    with pytest.raises(UserError, match=rf"lvis\.json: .*{message}"):
        read(folder)
