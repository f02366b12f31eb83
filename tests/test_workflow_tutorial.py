"""What the tutorial and the README say to type, typed: from a folder and a CSV to labels."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import CATEGORY_NAMES, write_coco
from workflow_trials import copy_tree

from satl.data.formats.coco import read_coco

ROOT = Path(__file__).parent.parent
RUN = "results/my/runs/photos/satl/known-as_is/seed-0"
pytestmark = [pytest.mark.slow, pytest.mark.long]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def type_in(tree, command):
    """Run a line of the page in a shell, with the Python that runs the tests."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-ec", command], cwd=tree, env=environment, capture_output=True, text=True,
        timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def tree(tmp_path):
    """A source tree with 80 photographs, half of whose labels are known, and three new ones."""
    copy_tree(tmp_path)
    write_coco(tmp_path / "drawn", images=80, seed=1)
    write_coco(tmp_path / "unseen", images=3, seed=5)
    (tmp_path / "drawn/images").rename(tmp_path / "photos")
    (tmp_path / "unseen/images").rename(tmp_path / "new")
    table = read_coco(tmp_path / "drawn/instances.json", tmp_path / "photos")
    hidden = np.random.default_rng(0).random(table.labels.shape) < 0.5
    cells = np.where(hidden, "", (table.labels > 0).astype(int).astype(str))
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *CATEGORY_NAMES])
        writer.writerows([name, *row] for name, row in zip(table.file_names, cells, strict=True))
    return tmp_path


def right_labels(tree):
    """Share of the entries of the three new pictures that predictions.csv decides as they are."""
    truth = read_coco(tree / "unseen/instances.json", tree / "new")
    with open(tree / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"new/{name}" for name in truth.file_names]
    decided = np.array([[int(row[name]) for name in CATEGORY_NAMES] for row in rows])
    return (decided == (truth.labels > 0)).mean()


def test_the_tutorial(tree):
    page = (ROOT / "docs/tutorial.md").read_text()
    (config,) = blocks(page, "yaml")
    (tree / "photos.yaml").write_text(config)
    said = [type_in(tree, command) for command in blocks(page, "sh")]
    assert right_labels(tree) > 0.8
    assert "their model.safetensors" in said[1]
    assert "photos.onnx: agrees with PyTorch" in said[3]
    assert (tree / "photos-model/MLmodel").is_file()
    (script,) = blocks(page, "python")
    (tree / "label.py").write_text(script)
    # What ONNX and predictions.csv decide is the same: one resizes, reads and scores as the other.
    with open(tree / "predictions.csv", newline="") as file:
        expected = [
            f"{row['image']} {[name for name in CATEGORY_NAMES if row[name] == '1']}"
            for row in csv.DictReader(file)
        ]
    assert type_in(tree, "python label.py new/*.jpg").splitlines() == expected
    shutil.rmtree(tree / "photos")
    (facts,) = tree.glob("results/photos/runs/photos/satl/*/*/run.json")
    assert json.loads(facts.read_text())["fingerprint"]["validation"] == 0.2


def test_the_example_of_the_readme_labels_three_new_pictures(tree):
    section = (ROOT / "README.md").read_text().partition("\n## Your own data\n")[2]
    section = section.partition("\n## ")[0]
    (tree / "my.yaml").write_text(blocks(section, "yaml")[0])
    type_in(tree, "cp labels.csv train.csv; cp labels.csv test.csv")
    type_in(tree, f"snakemake {RUN}/metrics.json --cores 2 --configfile my.yaml")
    type_in(tree, re.search(r"^python -m satl predict .*$", section, re.MULTILINE)[0])
    assert right_labels(tree) > 0.8
