"""What every data format must do, and how one is added: by one file, as docs/extending.md says."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml
from conftest import CATEGORY_NAMES, write_coco
from make_vg import TEST, TRAIN, vg_config, write_vg
from make_voc import voc_config
from pydantic import BaseModel, TypeAdapter
from workflow_trials import ROOT, TINY, copy_tree, output, snakemake, write_config

from satl.cli import main
from satl.core.errors import UserError
from satl.data.formats import FORMATS
from satl.data.formats.base import PARTS, DataFormat
from satl.data.table import LabelTable, check_same_categories, table_of_names


def coco_section(folder: Path, test_categories=CATEGORY_NAMES) -> dict:
    for part, images, names in (("train", 24, CATEGORY_NAMES), ("test", 12, test_categories)):
        write_coco(folder / part, images, seed=images, categories=names)
    return {"format": "coco"} | {
        part: {
            "images": str(folder / part / "images"),
            "annotations": str(folder / part / "instances.json"),
        }
        for part in PARTS
    }


def csv_section(folder: Path) -> dict:
    """COCO's sample as rows of 1 and 0, an unknown in each third row."""
    section = coco_section(folder)
    for part in PARTS:
        table = FORMATS["coco"].model_validate(section).read(part)
        lines = [",".join(["image", *table.categories])]
        for row, (name, labels) in enumerate(zip(table.file_names, table.labels, strict=True)):
            codes = ["1" if label > 0 else "0" for label in labels]
            lines.append(",".join([name, *([""] if row % 3 == 0 else codes[:1]), *codes[1:]]))
        (folder / f"{part}.csv").write_text("\n".join(lines))
    return {"format": "csv"} | {
        part: {"labels": str(folder / f"{part}.csv"), "images": section[part]["images"]}
        for part in PARTS
    }


def lvis_section(folder: Path) -> dict:
    """COCO's sample, where the last category was looked for in some images only."""
    section = coco_section(folder)
    for part in PARTS:
        path = Path(section[part]["annotations"])
        content = json.loads(path.read_text())
        *searched, last = (category["id"] for category in content["categories"])
        for place, record in enumerate(content["images"]):
            shown = {
                a["category_id"] for a in content["annotations"] if a["image_id"] == record["id"]
            }
            looked_for = {*searched, *([last] if place % 2 else [])}
            record |= {"neg_category_ids": sorted(looked_for - shown)}
            record |= {"not_exhaustive_category_ids": sorted(shown)[:1]}
        path.write_text(json.dumps(content))
    return section | {"format": "lvis"}


def open_images_section(folder: Path) -> dict:
    """COCO's sample, every second label verified."""
    coco = FORMATS["coco"].model_validate(coco_section(folder))
    for part in PARTS:
        table = coco.read(part)
        lines = ["ImageID,Source,LabelName,Confidence"]
        for (row, column), label in np.ndenumerate(table.labels):
            if (row + column) % 2:
                image = table.file_names[row].removesuffix(".jpg")
                lines.append(f"{image},verification,/m/{column},{int(label > 0)}")
        (folder / f"{part}.csv").write_text("\n".join(lines))
    classes = [f"/m/{column},{name}" for column, name in enumerate(CATEGORY_NAMES)]
    (folder / "classes.csv").write_text("\n".join(classes))
    return {"format": "open_images", "classes": str(folder / "classes.csv")} | {
        part: {"labels": [str(folder / f"{part}.csv")], "images": str(folder / part / "images")}
        for part in PARTS
    }


SAMPLES = {  # a section of each format, and the data it names
    "coco": coco_section,
    "csv": csv_section,
    "glyphs": lambda folder: {"format": "glyphs", "train_images": 24, "test_images": 12},
    "lvis": lvis_section,
    "open_images": open_images_section,
    "vg": lambda folder: vg_config(write_vg(folder)),
    "voc": lambda folder: voc_config(folder, TRAIN, TEST),
}
each_format = pytest.mark.parametrize("name", FORMATS)


def sample(name: str, folder: Path) -> DataFormat:
    return FORMATS[name].model_validate(SAMPLES[name](folder))


def sections(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A format and the sections inside it."""
    yield kind
    for field in kind.model_fields.values():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from sections(inner)


@each_format
def test_every_setting_is_described(name):
    assert FORMATS[name].__doc__
    for section in sections(FORMATS[name]):
        schema = section.model_json_schema()["properties"]
        for key, field in section.model_fields.items():
            described = field.description or schema[key].get("description")
            assert described or key == "format", f"{section.__name__}.{key}"


def test_no_format_needs_array_code_to_be_imported():
    code = "import sys, satl.data.formats; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert {f"satl.data.formats.{name}" for name in FORMATS} <= loaded
    assert not loaded & {"torch", "numpy", "pandas", "PIL", "ijson"}


@each_format
def test_reading_gives_two_tables_of_the_promised_size(name, tmp_path):
    dataset = sample(name, tmp_path)
    prepared = None
    if dataset.prepares():
        prepared = tmp_path / "prepared"
        with pytest.raises(UserError, match="satl prepare"):
            dataset.read("train", None)
        assert isinstance(dataset.prepare(prepared), dict)
        assert any(prepared.iterdir())
    else:
        with pytest.raises(UserError, match="need no preparation"):
            dataset.prepare(tmp_path / "prepared")
    train, test = (dataset.read(part, prepared) for part in PARTS)
    check_same_categories(train, test)
    assert (train.labels == 0).any() == dataset.may_be_partial
    dropping = dataset.model_copy(update={"unannotated": "drop"}).table("train", prepared)
    assert np.array_equal(dropping.labels, train.labels[(train.labels == 1).any(1)])
    size = dataset.size()
    assert (size.train, size.test) == (len(train.labels), len(test.labels)) == (TRAIN, TEST)
    assert size.categories == len(train.categories) and not size.note
    assert all(path.is_file() for path in (*train.paths(), *test.paths()))


@each_format
def test_every_configured_path_is_an_input(name, tmp_path):
    dataset = sample(name, tmp_path)
    waited_for = {*dataset.prepare_inputs(), *(p for part in PARTS for p in dataset.inputs(part))}
    assert all(Path(path).exists() for path in waited_for)
    configured = set(re.findall(r"'(/[^']*)'", repr(dataset.model_dump())))
    assert configured == waited_for


@each_format
def test_only_what_tables_depend_on_reads_them_again(name, tmp_path):
    section = SAMPLES[name](tmp_path)
    dataset = FORMATS[name].model_validate(section)
    later = {"published": "scores.csv", "unreadable": "drop"}
    changed = FORMATS[name].model_validate({**section, **later})
    assert changed != dataset
    assert changed.table_settings() == dataset.table_settings()
    sorted_out = FORMATS[name].model_validate({**section, "unannotated": "drop"})
    assert sorted_out.table_settings() != dataset.table_settings()


@each_format
def test_a_section_reads_back_from_json(name, tmp_path):
    dataset = sample(name, tmp_path)
    kind = TypeAdapter(FORMATS[name])
    assert kind.validate_json(kind.dump_json(dataset)) == dataset


def test_the_sections_in_the_documentation_are_valid():
    page = (ROOT / "docs/data.md").read_text()
    blocks = re.findall(r"^```yaml\n(datasets:\n.*?)^```", page, re.MULTILINE | re.DOTALL)
    shown = {}
    for block in blocks:
        for section in yaml.safe_load(block)["datasets"].values():
            shown[section["format"]] = FORMATS[section["format"]].model_validate(section)
    assert shown.keys() == {"csv", "lvis", "open_images", "vg", "voc"}


def test_a_table_of_names(tmp_path):
    for name in ("b.jpg", "a.jpg"):
        (tmp_path / name).touch()
    source = tmp_path / "labels.csv"
    present = {"b.jpg": ["dog"], "a.jpg": []}
    table = table_of_names(tmp_path, present, ["cat", "dog"], source)
    assert table.file_names == ("b.jpg", "a.jpg")
    assert table.labels.tolist() == [[-1, 1], [-1, -1]]
    with pytest.raises(UserError, match=r"labels\.csv: category 'dog' of image b\.jpg"):
        table_of_names(tmp_path, present, ["cat"], source)
    with pytest.raises(UserError, match=r"labels\.csv: names no image"):
        table_of_names(tmp_path, {}, ["cat"], source)
    with pytest.raises(UserError, match=r"1 of the 1 images .* missing: c\.jpg"):
        table_of_names(tmp_path, {"c.jpg": []}, ["cat"], source)


def table_command(folder: Path, section: dict, *words: str) -> int:
    content = {"name": "x", "datasets": {"d": section}, "methods": {"satl": {}}}
    (folder / "x.yaml").write_text(yaml.safe_dump({**content, "known_ratios": [0.5]}))
    where = ["--config", str(folder / "x.yaml"), "--dataset", "d"]
    return main(["table", *where, "--out", str(folder / "t.npz"), *words])


def test_the_table_command_reads_a_part_of_a_config(tmp_path, capsys):
    section = coco_section(tmp_path)
    assert table_command(tmp_path, section, "--part", "test") == 0
    assert len(LabelTable.load(tmp_path / "t.npz").labels) == 12
    capsys.readouterr()
    for words, message in (
        ((), "--config needs --dataset NAME and --part"),
        (("--part", "test", "--crowds", "drop"), "--crowds does not go with --config"),
        (("--part", "test", "a.json"), "annotations does not go with --config"),
    ):
        assert table_command(tmp_path, section, *words) == 2
        assert message in capsys.readouterr().err


def test_the_table_command_asks_for_one_of_its_two_forms(tmp_path, capsys):
    out = ["--out", str(tmp_path / "t.npz")]
    for words, message in (
        ([], "give ANNOTATIONS and --images DIR, or --config"),
        (["a.json"], "give ANNOTATIONS and --images DIR, or --config"),
        (["a.json", "--images", "i", "--part", "test"], "--part does not go with an annotation"),
    ):
        assert main(["table", *words, *out]) == 2
        assert message in capsys.readouterr().err


@pytest.fixture
def tree(tmp_path):
    copy_tree(tmp_path / "tree")
    return tmp_path / "tree"


def small_experiment(section: dict) -> dict:
    return {
        "datasets": {"own": section}, "methods": {"partial_bce": {}}, "known_ratios": [0.5],
        "model": {**TINY["model"], "weights": "random"},
        "training": {**TINY["training"], "epochs": 1, "batch_size": 8},
    }  # fmt: skip


@pytest.mark.slow
def test_different_categories_are_found_before_anything_is_trained(tree):
    section = coco_section(tree / "data of mine", test_categories=("red", "green", "pink"))
    write_config(tree, **small_experiment(section))
    done = snakemake(tree)
    assert done.returncode != 0
    assert "only in training: ['blue', 'dark'], only in test: ['pink']" in output(done)
    assert "satl table: error: " in done.stderr.rpartition("Exiting because")[2]
    assert not (tree / "results/tiny/training").exists()
    assert not (tree / "results/tiny/data/own/test-images.npz").exists()
