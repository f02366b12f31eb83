"""Open Images' label files: verified, guessed and contradictory labels."""

import json
from pathlib import Path

import pytest
from PIL import Image
from test_formats import table_command

from satl.core.errors import UserError
from satl.data.formats.open_images import OpenImagesFormat
from satl.data.table import LabelTable

HUMAN = """ImageID,Source,LabelName,Confidence
b,verification,/m/cat,1
a,crowdsource-verification,/m/dog,0
b,verification,/m/pony,1
a,verification,/m/ant,1
c,verification,/m/pony,0
"""
MACHINE = """ImageID,Source,LabelName,Confidence
a,machine,/m/cat,0.9
a,machine,/m/dog,1.0
b,machine,/m/dog,0.6
"""
CLASSES = "/m/cat,Cat\n/m/dog,Dog\n/m/ant,Ant\n"


@pytest.fixture
def folder(tmp_path):
    for name, text in (("human", HUMAN), ("machine", MACHINE), ("classes", CLASSES)):
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (16, 12)).save(tmp_path / f"images/{name}.jpg")
    return tmp_path


def section(folder: Path, **changes) -> dict:
    files = [str(folder / "human.csv"), str(folder / "machine.csv")]
    part = {"labels": files, "images": str(folder / "images")}
    classes = str(folder / "classes.csv")
    return {"format": "open_images", "classes": classes, "train": part, "test": part, **changes}


def read(folder: Path, **changes) -> LabelTable:
    return OpenImagesFormat.model_validate(section(folder, **changes)).read("train")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_verified_labels_and_the_rest_unknown(folder):
    table = read(folder)
    assert table.categories == ("Cat", "Dog", "Ant")
    assert table.file_names == ("b.jpg", "a.jpg"), "and not c, which has none of the classes"
    assert table.labels.tolist() == [[1, 0, 0], [0, -1, 1]]


@pytest.mark.parametrize(("threshold", "guessed"), [(0.6, [1, 1, 0]), (0.61, [1, 0, 0])])
def test_guesses_count_from_a_confidence_on_where_nobody_verified(folder, threshold, guessed):
    labels = read(folder, machine_threshold=threshold).labels.tolist()
    assert labels == [guessed, [1, -1, 1]]


def test_contradictory_verified_labels_are_unknown(folder):
    append(folder / "human.csv", "a,crowdsource-verification,/m/dog,1\n")
    assert read(folder, machine_threshold=0.5).labels[1].tolist() == [1, 0, 1]


def test_images_that_are_not_there_stop_or_are_left_out(folder):
    (folder / "images/b.jpg").unlink()
    with pytest.raises(UserError, match=r"human\.csv names are missing: b\.jpg"):
        read(folder)
    table = read(folder, missing_images="drop")
    assert table.file_names == ("a.jpg",)
    assert table.labels.tolist() == [[0, -1, 1]]
    assert table.info["images_missing"] == 1
    (folder / "images/a.jpg").unlink()
    with pytest.raises(UserError, match="has none of the 2 labelled images"):
        read(folder, missing_images="drop")


def test_classes_with_a_header_and_with_equal_meanings(folder):
    (folder / "classes.csv").write_text(
        'LabelName,DisplayName\n/m/cat,Cat\n/m/dog,Cat\n/m/ant,"A, b"'
    )
    assert read(folder).categories == ("Cat (/m/cat)", "Cat (/m/dog)", "A, b")


def test_through_the_table_command(folder, capsys):
    assert table_command(folder, section(folder), "--part", "train") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["positive_labels"], facts["negative_labels"]) == (2, 1)
    assert LabelTable.load(folder / "t.npz").labels.tolist() == [[1, 0, 0], [0, -1, 1]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,verification,/m/cat,0.5", r"human\.csv:7: a verified label .* has confidence 0\.5"),
        ("a,verification,/m/cat,", r"human\.csv:7: the confidence '' is not a number"),
        ("a,verification,/m/cat", r"human\.csv:7: 3 values, but the first line has 4"),
    ],
)
def test_a_wrong_line_is_named(folder, line, message):
    append(folder / "human.csv", f"{line}\n")
    with pytest.raises(UserError, match=message):
        read(folder)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("human", "ImageID,LabelName\n", r"human\.csv: has no column Source, Confidence"),
        ("classes", "", r"classes\.csv: is empty; is this the right file of classes"),
        ("classes", "/m/cat\n", r"classes\.csv: needs lines .* found \[\['/m/cat'\]\]"),
        ("classes", "/m/cat,Cat\n/m/cat,Cat\n", r"classes\.csv: names /m/cat twice"),
        ("classes", "/m/x,X\n", r"human\.csv: has no label of a class in .*classes\.csv"),
    ],
)
def test_a_wrong_file_is_named(folder, file, text, message):
    (folder / f"{file}.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read(folder)
