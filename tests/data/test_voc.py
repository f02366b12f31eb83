"""PASCAL VOC's XML files: present, absent, difficult."""

from pathlib import Path

import pytest
from make_voc import voc_config, write_annotation
from test_formats import table_command

from satl.core.errors import UserError
from satl.data.formats.voc import CATEGORIES, VocFormat
from satl.data.table import LabelTable

OBJECTS = (("cat", 0), ("tvmonitor", 1), ("cat", 1), ("dog", 1))
CAT, DOG, MONITOR = map(CATEGORIES.index, ("cat", "dog", "tvmonitor"))


@pytest.fixture
def section(tmp_path):
    """Three images; the second is described by OBJECTS."""
    section = voc_config(tmp_path, train=3, test=2)
    write_annotation(Path(section["train"]["folder"]), "100001", *OBJECTS)
    return section


def read(section: dict, **changes) -> LabelTable:
    return VocFormat.model_validate({**section, **changes}).read("train")


@pytest.mark.parametrize(
    ("difficult", "label"), [("positive", 1), ("unknown", 0), ("negative", -1)]
)
def test_objects_and_difficult_ones(section, difficult, label):
    table = read(section, difficult=difficult)
    assert table.file_names == ("100000.jpg", "100001.jpg", "100002.jpg")
    expected = [-1] * 20
    expected[CAT], expected[DOG], expected[MONITOR] = 1, label, label
    assert table.labels[1].tolist() == expected


def test_difficult_objects_do_not_count_unless_the_config_says_so(section):
    assert (read(section).labels == read(section, difficult="negative").labels).all()


def test_names_are_in_words(section):
    categories = read(section).categories
    assert len(categories) == 20
    assert categories[MONITOR] == "tv monitor"


def test_categories_of_another_data_set_laid_out_like_it(section):
    folder = Path(section["train"]["folder"])
    for name in ("100000", "100001", "100002"):
        write_annotation(folder, name, ("weed", 0))
    assert read(section, categories=["crop", "weed"]).labels.tolist() == [[-1, 1]] * 3


BOX = "<bndbox><xmin>1</xmin><ymin>{}</ymin><xmax>10</xmax><ymax>20</ymax></bndbox></object>"


@pytest.mark.parametrize(("difficult", "area"), [("negative", 100.0), ("positive", 300.0)])
def test_boxes_tell_sizes_and_places_of_what_counts(section, difficult, area):
    assert read(section).objects is None, "the others have no boxes"
    part = {**section, "train": {**section["train"], "image_set": "one"}}
    root = Path(section["train"]["folder"])
    (root / "ImageSets/Main/one.txt").write_text("100001\n")
    path = root / "Annotations/100001.xml"
    write_annotation(root, "100001", ("cat", 0), ("cat", 1))
    first, second, rest = path.read_text().split("</object>")
    size = "<size><width>32</width><height>24</height></size>"
    path.write_text(first + BOX.format(11) + second + BOX.format(1) + size + rest)
    objects = read(part, difficult=difficult).objects
    assert (objects.rows.tolist(), objects.columns.tolist()) == ([0], [CAT])
    assert objects.area.tolist() == [area]
    if difficult == "negative":  # its centre is (5, 15), that of the image (16, 12)
        assert objects.closeness[0] == pytest.approx((11**2 + 3**2) ** -0.5)


def test_through_the_table_command(section, tmp_path):
    assert table_command(tmp_path, section, "--part", "test") == 0
    assert LabelTable.load(tmp_path / "t.npz").labels.shape == (2, 20)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("Annotations/100001.xml", "<annotation><object>", r"100001\.xml: not valid XML"),
        ("Annotations/100001.xml", "<html/>", "not an annotation of PASCAL VOC, but <html>"),
        ("Annotations/100001.xml", None, r"100001\.xml: no such annotation file"),
        ("JPEGImages/100002.jpg", None, r"trainval\.txt names are missing: 100002\.jpg"),
        ("ImageSets/Main/trainval.txt", "1\n1\n", r"lists 1 images more than once: 1"),
        ("ImageSets/Main/trainval.txt", None, r"trainval\.txt: no such image list"),
    ],
)
def test_what_is_missing_or_malformed_is_named(section, file, text, message):
    path = Path(section["train"]["folder"], file)
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(UserError, match=message):
        read(section)


def test_an_unknown_object_and_a_wrong_count_are_named(section):
    write_annotation(Path(section["train"]["folder"]), "100000", ("zebra", 0))
    with pytest.raises(UserError, match=r"100000\.xml: an object is called 'zebra'"):
        read(section)
    section["train"]["expected_images"] = 5011
    with pytest.raises(UserError, match=r"trainval\.txt: 3 images, but expected_images says 5011"):
        read(section)
