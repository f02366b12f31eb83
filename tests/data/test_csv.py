"""Labels in CSV files: codes, columns, and what is said about mistakes."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from satl.cli import main
from satl.config import parse
from satl.core.errors import UserError
from satl.data.formats.csv import CsvFormat
from satl.data.table import LabelTable

TRAIN = """Path,Sex,Edema,Fracture
p1/a.jpg,F,1.0,0
p1/b.jpg,M,-1.0,
p2/a.jpg,F,,1
"""
TEST = """Path,Fracture,Edema,Sex
p3/a.jpg,0,1,M
"""


@pytest.fixture
def folder(tmp_path):
    """Two files as CheXpert's are, and their images."""
    write(tmp_path, train=TRAIN, test=TEST)
    for name in ("p1/a", "p1/b", "p2/a", "p3/a"):
        path = tmp_path / "images" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12)).save(path)
    return tmp_path


def write(folder: Path, **files: str) -> None:
    for part, text in files.items():
        (folder / f"{part}.csv").write_text(text, encoding="utf-8")


def section(folder: Path, **changes) -> dict:
    parts = {
        part: {"labels": str(folder / f"{part}.csv"), "images": str(folder / "images")}
        for part in ("train", "test")
    }
    return {"format": "csv", **parts, "ignore": ["Sex"], **changes}


def read(folder: Path, part="train", **changes) -> LabelTable:
    return CsvFormat.model_validate(section(folder, **changes)).read(part)


def test_ones_zeros_uncertain_and_blank(folder):
    table = read(folder)
    assert table.categories == ("Edema", "Fracture")
    assert table.file_names == ("p1/a.jpg", "p1/b.jpg", "p2/a.jpg")
    assert table.labels.tolist() == [[1, -1], [0, 0], [0, 1]]
    assert all(path.is_file() for path in table.paths())


def test_test_columns_come_in_the_order_of_the_training_file(folder):
    table = read(folder, "test")
    assert table.categories == ("Edema", "Fracture")
    assert table.labels.tolist() == [[1, -1]]


def test_codes_of_ones_own(folder):
    u_ones = read(folder, positive=[1, -1], negative=[0], unknown=[None])
    assert u_ones.labels.tolist() == [[1, -1], [1, 0], [0, 1]]
    write(folder, train="img;cat;dog\n p1/a.jpg;yes; no\np1/b.jpg;?;NaN\n")
    codes = {"positive": ["yes"], "negative": ["no"], "unknown": ["?", "nan"]}
    table = read(folder, delimiter=";", ignore=[], **codes)
    assert table.labels.tolist() == [[1, -1], [0, 0]]
    assert table.file_names == ("p1/a.jpg", "p1/b.jpg")


def test_the_image_column_by_name_and_categories_by_choice(folder):
    write(folder, train="Fracture,Note,file\n1,-,p1/a.jpg\n")
    table = read(folder, image_column="file", categories=["Fracture"], ignore=[])
    assert (table.file_names, table.categories) == (("p1/a.jpg",), ("Fracture",))


def test_whether_labels_may_be_partial_is_a_matter_of_the_codes(folder):
    def may_be(**changes):
        return CsvFormat.model_validate(section(folder, **changes)).may_be_partial

    assert may_be()
    assert not may_be(negative=["0", "-1", ""], unknown=[])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("p2/b.jpg,F,2,1", r"train\.csv:6, column 'Edema': '2' is none of the codes .*name the c"),
        ("p1/./a.jpg,F,1,1", r"train\.csv:6: image p1/a\.jpg stands in line 2 already"),
        ("p2/b.jpg,F,1,1", r"1 of the 4 images .*train\.csv names are missing: p2/b\.jpg"),
        ("p2/b.jpg,F,1", r"train\.csv:6: 3 values, but the first line has 4"),
        (" ,F,1,1", r"train\.csv:6: names no image"),
        ('"p2/b.jpg,F,1,1', r"train\.csv:\d: not a CSV file \(unexpected end of data"),
    ],
)
def test_a_wrong_line_is_named(folder, line, message):
    write(folder, train=f"{TRAIN}\n{line}\n")  # below a blank line, which counts for editors
    with pytest.raises(UserError, match=message):
        read(folder)


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("", {}, r"train\.csv: is empty"),
        ("Path,Edema\n", {}, r"train\.csv: has a header and no image"),
        ("Path,Sex\np1/a.jpg,F\n", {}, "has no column of a category"),
        ("Path,Edema,Edema\np1/a.jpg,1,1\n", {}, "two columns are called 'Edema'"),
        (TRAIN, {"image_column": "path"}, "has no column 'path'; its columns are Path, Sex"),
        (TRAIN, {"categories": ["Mass"], "ignore": []}, "has no column 'Mass'"),
        (TRAIN, {"ignore": []}, r"train\.csv:2, column 'Sex': 'F' is none of"),
    ],
)
def test_a_wrong_file_is_named(folder, text, changes, message):
    write(folder, train=text)
    with pytest.raises(UserError, match=message):
        read(folder, **changes)


def test_a_missing_file_a_wrong_count_and_other_columns_are_named(folder):
    parts = section(folder)
    parts["train"]["expected_images"] = 4
    with pytest.raises(UserError, match=r"train\.csv: 3 images, but expected_images says 4"):
        CsvFormat.model_validate(parts).read("train")
    write(folder, test="Path,Edema,Fracture,Age\np3/a.jpg,1,1,50\n")
    with pytest.raises(UserError, match=r"test\.csv: the columns Age are not in the training fil"):
        read(folder, "test")
    (folder / "test.csv").unlink()
    with pytest.raises(UserError, match=r"test\.csv: no such file of labels"):
        read(folder, "test")


def test_bytes_that_are_no_utf8_are_named(folder):
    (folder / "train.csv").write_bytes("Path,Ödem\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"train\.csv: not text in UTF-8"):
        read(folder)
    (folder / "train.csv").write_bytes(b"\xef\xbb\xbf" + TRAIN.encode())  # as spreadsheets write
    assert len(read(folder, image_column="Path").labels) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": ["Edema"]}, "give `categories` or `ignore`"),
        ({"categories": ["Edema", "Edema"], "ignore": []}, "`categories` names a column twice"),
        ({"positive": [1], "negative": ["1.0"]}, "the code '1' stands twice"),
        ({"positive": [True]}, "write yes, no, true and false in quotes"),
        ({"delimiter": ", "}, r"datasets\.d\.delimiter"),
        ({"image_colum": "Path"}, r"image_colum: unknown key .*mean 'image_column'"),
    ],
)
def test_contradictions_in_a_config_are_named(folder, changes, message):
    content = {"name": "x", "methods": {"satl": {}}, "known_ratios": [0.5]}
    with pytest.raises(UserError, match=message):
        parse({**content, "datasets": {"d": section(folder, **changes)}}, "x.yaml")


def test_the_size_before_and_after_the_files_are_there(folder):
    dataset = CsvFormat.model_validate(section(folder))
    assert (dataset.size().train, dataset.size().test, dataset.size().categories) == (3, 1, 2)
    (folder / "test.csv").unlink()
    with pytest.raises(UserError, match=r"set test\.expected_images"):
        dataset.size()


def test_satl_check_and_satl_table(folder, capsys):
    content = {"name": "x", "datasets": {"d": section(folder)}, "methods": {"partial_bce": {}}}
    config = folder / "x.yaml"
    config.write_text(yaml.safe_dump({**content, "known_ratios": [0.5]}))
    assert main(["check", "--config", str(config)]) == 0
    capsys.readouterr()
    words = ["--config", str(config), "--dataset", "d", "--part", "train"]
    assert main(["table", *words, "--out", str(folder / "t.npz")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["positive_labels"], facts["unknown_labels"]) == (2, 3)
    assert np.array_equal(LabelTable.load(folder / "t.npz").labels, read(folder).labels)
