import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from make_vg import NAMES, TEST, TRAIN, vg_config, write_vg

from satl.cli import main
from satl.core.errors import UserError
from satl.core.files import write_json
from satl.data.table import LabelTable, check_same_categories
from satl.data.vg.names import derive_names
from satl.data.vg.table import read_vg


@pytest.fixture
def folder(tmp_path):
    folder = write_vg(tmp_path / "vg")
    names = derive_names(folder / "index.json", folder / "objects.json", len(NAMES))
    write_json(folder / "names.json", names)
    return folder


def read(folder, part="train", images=None, **options):
    other = {"train": "test", "test": "train"}[part]
    return read_vg(
        folder / f"{part}.txt",
        folder / "index.json",
        folder / "names.json",
        images or [folder / "VG_100K", folder / "VG_100K_2"],
        apart_from=folder / f"{other}.txt",
        **options,
    )


def listed(folder, part="train"):
    return (folder / f"{part}.txt").read_text().split()


def edit_index(folder, change):
    path = folder / "index.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_rows_follow_the_list_and_columns_the_index(folder):
    table = read(folder)
    index = json.loads((folder / "index.json").read_text())
    names = listed(folder)
    expected = [[1 if c in index[name] else -1 for c in range(4)] for name in names]
    assert np.array_equal(table.labels, expected)
    assert any(set(index[name]) & {200, 499} for name in names)  # and these are not there
    assert table.categories == NAMES
    assert [Path(name).name for name in table.file_names] == names
    assert table.image_ids.tolist() == [int(name.removesuffix(".jpg")) for name in names]
    assert table.info["weakest_name"]["name"] in NAMES


def test_images_are_found_in_both_folders(folder):
    table = read(folder)
    assert table.folder == str(folder)
    assert {Path(name).parent.name for name in table.file_names} == {"VG_100K", "VG_100K_2"}
    assert all(path.is_file() for path in table.paths())


def test_one_folder_and_folders_of_any_place(folder, monkeypatch):
    for path in list(folder.glob("VG_100K_2/*")):
        path.rename(folder / "VG_100K" / path.name)
    table = read(folder, images=[folder / "VG_100K"])
    assert (table.folder, table.file_names[0]) == (str(folder / "VG_100K"), listed(folder)[0])
    monkeypatch.chdir(folder)
    table = read(folder, images=[Path("VG_100K"), Path("VG_100K_2")])
    assert (table.folder, os.path.dirname(table.file_names[0])) == (".", "VG_100K")
    mixed = read(folder, images=[Path("VG_100K"), folder / "VG_100K_2"])
    assert mixed.folder == str(folder)
    assert all(path.is_file() for path in [*table.paths(), *mixed.paths()])


def test_both_tables_have_the_same_categories_and_no_image_in_common(folder):
    train, test = read(folder), read(folder, "test")
    check_same_categories(train, test)
    assert (len(train.image_ids), len(test.image_ids)) == (TRAIN, TEST)
    assert not set(train.image_ids) & set(test.image_ids)


def test_images_of_no_kept_category_are_kept_or_dropped(folder):
    first = listed(folder)[0]
    edit_index(folder, lambda index: index.update({first: [200]}))
    assert (read(folder).labels[0] == -1).all()
    dropped = read(folder).annotated()
    assert int(first.removesuffix(".jpg")) not in dropped.image_ids
    assert (dropped.labels == 1).any(1).all()
    assert dropped.info["images_dropped"] == TRAIN - len(dropped.file_names) >= 1


def test_the_expected_count_is_of_the_list(folder):
    edit_index(folder, lambda index: index.update({listed(folder)[0]: []}))
    assert len(read(folder, expected_images=TRAIN).annotated().file_names) < TRAIN
    with pytest.raises(UserError, match=r"train\.txt: 24 images, but expected_images says 25"):
        read(folder, expected_images=25)


def test_an_image_listed_twice_is_named(folder):
    name = listed(folder)[3]
    with open(folder / "train.txt", "a") as file:
        file.write(f"{name}\n")
    with pytest.raises(UserError, match=rf"train\.txt: lists 1 images more than once: {name}"):
        read(folder)


def test_an_image_in_both_lists_is_named(folder):
    name = listed(folder)[3]
    with open(folder / "test.txt", "a") as file:
        file.write(f"\n{name}\n")
    for part in ("train", "test"):
        with pytest.raises(UserError, match=rf"train\.txt.* share 1 images: {name}"):
            read(folder, part)


def test_a_listed_image_without_labels_is_named(folder):
    name = listed(folder)[3]
    edit_index(folder, lambda index: index.pop(name))
    with pytest.raises(UserError, match=rf"index\.json: lacks 1 of the 24 images .*: {name};"):
        read(folder)


def test_a_missing_image_is_named(folder):
    name = listed(folder)[3]
    next(folder.glob(f"VG_*/{name}")).unlink()
    with pytest.raises(UserError, match=rf"VG_100K_2: 1 of the 24 .* are missing: {name}$"):
        read(folder)
    with pytest.raises(UserError, match="other: no such image folder"):
        read(folder, images=[folder / "VG_100K", folder / "other"])


def test_an_image_in_both_folders_is_named(folder):
    name = listed(folder)[3]
    for below in ("VG_100K", "VG_100K_2"):
        (folder / below / name).touch()
    with pytest.raises(UserError, match=rf"1 images of .*train\.txt lie in more .*: {name}; leave"):
        read(folder)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train.txt", b" \n\n", r"train\.txt: lists no image"),
        ("train.txt", b"\xff\xd8\xff", r"train\.txt: not a text file"),
        ("index.json", b"{", r"index\.json: not valid JSON"),
        ("index.json", b"[]", r"index\.json: not an index of labels"),
        ("index.json", b'{"1.jpg": ["man"]}', r"'1\.jpg' needs a list of category indices"),
        ("index.json", b'{"1.jpg": [-1]}', r"'1\.jpg' needs a list of category indices"),
        ("index.json", b'{"1.jpg": 3}', r"'1\.jpg' needs a list of category indices"),
        ("index.json", b'{"a.jpg": [3]}', r"'a\.jpg' is not an image file name like"),
        ("index.json", b'{"1.jpg": [3], "01.jpg": []}', r"'1\.jpg' and '01\.jpg' are one"),
        ("names.json", b"[]", r"names\.json: not the category names"),
        ("names.json", b'{"categories": []}', r"names\.json: not the category names"),
    ],
)
def test_malformed_files_are_named(folder, file, content, message):
    (folder / file).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(folder)


@pytest.mark.parametrize(
    ("file", "what"),
    [("train.txt", "image list"), ("index.json", "index of labels"), ("names.json", "file of cat")],
)
def test_missing_files_are_named(folder, file, what):
    (folder / file).unlink()
    with pytest.raises(UserError, match=f"{file}: no such {what}"):
        read(folder)


def test_a_table_of_nothing(folder):
    edit_index(folder, lambda index: index.update({name: [200] for name in index}))
    with pytest.raises(UserError, match=r"no image has any of the 4 categories"):
        read(folder).annotated()


def test_the_commands_write_names_table_and_images(folder, tmp_path, capsys):
    section = vg_config(folder)
    content = {"name": "x", "datasets": {"vg": {**section, "names": {0: "Mr. X"}}}}
    content |= {"methods": {"satl": {}}, "known_ratios": [0.5]}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(content))
    where = ["--config", tmp_path / "x.yaml", "--dataset", "vg"]
    prepared = tmp_path / "prepared"
    assert main([str(word) for word in ("prepare", *where, "--out", prepared)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["categories"] == ["mr. x", *NAMES[1:]]
    assert printed["weakest"]["runner_up"]
    assert len(json.loads((prepared / "categories.json").read_text())["matches"]) == len(NAMES)

    words = [
        "table", *where, "--part", "test", "--prepared", prepared,
        "--images-out", folder / "test-images.npz", "--out", folder / "test.npz",
    ]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["images"], printed["categories"]) == (TEST, 4)
    assert 0 < printed["weakest_name"]["overlap"] <= 1
    table = LabelTable.load(folder / "test.npz")
    withheld = LabelTable.load(folder / "test-images.npz")
    assert table.file_names == withheld.file_names
    assert not withheld.labels.any() and (table.labels != 0).all()
    words.remove("--prepared")
    words.remove(prepared)
    assert main([str(word) for word in words]) == 2
    assert "run `satl prepare`" in capsys.readouterr().err
