import json

import numpy as np
import pytest
from conftest import write_coco

from satl.core.errors import UserError
from satl.data.formats.coco import read_coco


@pytest.fixture
def folder(tmp_path):
    write_coco(tmp_path / "d", images=6, seed=5)
    return tmp_path / "d"


def edit(folder, change):
    path = folder / "instances.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def read(folder, **options):
    return read_coco(folder / "instances.json", folder / "images", **options)


def test_columns_follow_the_rank_of_ids_with_gaps(folder):
    edit(folder, lambda c: c["categories"].reverse())
    table = read(folder)
    assert table.categories == ("red", "green", "blue", "dark")
    content = json.loads((folder / "instances.json").read_text())
    expected = np.full((6, 4), -1)
    for a in content["annotations"]:
        expected[(a["image_id"] - 7) // 10, (a["category_id"] - 2) // 3] = 1
    assert np.array_equal(table.labels, expected)
    assert table.file_names[3] == "0003.jpg"


def test_images_without_annotations_are_kept_or_dropped(folder):
    def empty_first(content):
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 7]

    edit(folder, empty_first)
    kept = read(folder)
    assert (kept.labels[0] == -1).all()
    dropped = read(folder).annotated()
    assert 7 not in dropped.image_ids
    assert dropped.info["images_dropped"] == 6 - len(dropped.file_names) >= 1


def test_crowds_count_or_not(folder):
    def crowd(content):
        content["annotations"] = [
            {"id": 1, "image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 1], "iscrowd": 1},
            {"id": 2, "image_id": 7, "category_id": 5, "bbox": [0, 0, 1, 1], "iscrowd": 0},
        ]

    edit(folder, crowd)
    assert read(folder).labels[0].tolist() == [1, 1, -1, -1]
    assert read(folder, crowds="drop").labels[0].tolist() == [-1, 1, -1, -1]
    assert read(folder).info["crowd_annotations"] == 1


def test_missing_images_are_counted_and_named(folder):
    (folder / "images/0002.jpg").unlink()
    with pytest.raises(UserError, match=r"1 of the 6 images .* missing: 0002\.jpg"):
        read(folder)


def test_images_in_sub_folders(folder):
    (folder / "images/a").mkdir()
    (folder / "images/0002.jpg").rename(folder / "images/a/0002.jpg")
    edit(folder, lambda c: c["images"][2].update(file_name="a/0002.jpg"))
    assert read(folder).paths()[2].is_file()


def test_missing_annotations_and_folder_are_named(folder):
    with pytest.raises(UserError, match=r"other\.json: no such annotation file"):
        read_coco(folder / "other.json", folder / "images")
    with pytest.raises(UserError, match="no such image folder"):
        read_coco(folder / "instances.json", folder / "other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "'?images'?"),
        (lambda c: c["annotations"][0].update(category_id=99), "category_id 99"),
        (lambda c: c["annotations"][0].update(image_id=99), "image_id 99"),
        (lambda c: c["images"][1].update(id=7), "share an id"),
        (lambda c: c["categories"][1].update(name="red"), "two categories are called 'red'"),
    ],
)
def test_inconsistent_annotations_are_named(folder, change, message):
    edit(folder, change)
    with pytest.raises(UserError, match=message):
        read(folder)


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"images": [', "\x00"])
def test_a_file_that_is_no_coco_json(folder, text):
    (folder / "instances.json").write_text(text)
    with pytest.raises(UserError, match=r"instances\.json: not a COCO"):
        read(folder)


def test_the_expected_count_is_checked(folder):
    assert len(read(folder, expected_images=6).file_names) == 6
    with pytest.raises(UserError, match="6 images, but expected_images says 7"):
        read(folder, expected_images=7)
