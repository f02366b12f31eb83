"""The workflow on data sets from elsewhere, with what may be wrong in them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import write_coco
from make_vg import NAMES, vg_config, write_vg
from workflow_trials import TINY, copy_tree, output, planned, snakemake, write_config

from satl.data.table import LabelTable

pytestmark = pytest.mark.slow


@pytest.fixture
def tree(tmp_path):
    """A source tree in which nothing has run."""
    copy_tree(tmp_path)
    return tmp_path


def test_coco_files_of_the_user(tree):
    """A data set from elsewhere: first with a missing image, then with one that is damaged."""
    for part, images in (("train", 30), ("test", 12)):
        write_coco(tree / "shapes" / part, images, seed=images)
    split = {
        part: {
            "images": f"shapes/{part}/images", "annotations": f"shapes/{part}/instances.json"
        }
        for part in ("train", "test")
    }  # fmt: skip
    own = {
        "name": "own", "datasets": {"shapes": {"format": "coco", **split}},
        "methods": {"fixed_threshold": {}}, "known_ratios": [0.9],
        "model": {**TINY["model"], "weights": "random"},
    }  # fmt: skip
    write_config(tree, "own.yaml", **own)
    picture = tree / "shapes/test/images/0003.jpg"
    away = picture.rename(picture.with_suffix(".away"))
    done = snakemake(tree, config="own.yaml")
    assert done.returncode != 0
    assert "0003.jpg" in output(done)
    after = done.stderr.rpartition("Exiting because")[2]
    assert re.search(r"\nsatl table: error: .* 1 of the 12 images", after), "and again at the end"

    away.rename(picture)
    picture.write_bytes(picture.read_bytes()[:-300])
    done = snakemake(tree, config="own.yaml")
    assert done.returncode != 0
    assert "1 of 12 images cannot be decoded" in output(done)
    assert "0003.jpg: " in output(done)
    assert not (tree / "results/own/runs").exists()

    own["datasets"]["shapes"]["unreadable"] = "drop"
    write_config(tree, "own.yaml", **own)
    done = snakemake(tree, config="own.yaml")
    assert done.returncode == 0, output(done)
    assert (
        '"unreadable_dropped": 1' in (tree / "results/own/logs/images/shapes-test.log").read_text()
    )
    assert "fixed_threshold" in (tree / "results/own/summary.csv").read_text()


def test_visual_genome_to_its_splits(tree):
    """Beside drawn data; first with two indices of one name, then with a name by hand."""
    section = vg_config(write_vg(tree / "vg images"))
    index = tree / "vg images/index.json"
    labels = json.loads(index.read_text())
    index.write_text(json.dumps({k: v + [4] * (0 in v) for k, v in labels.items()}))
    datasets = {"vg.200": {**section, "categories": 5}, **TINY["datasets"]}
    write_config(tree, "vg.yaml", name="vg", datasets=datasets, known_ratios=[0.5])
    done = snakemake(tree, "--until", "split", config="vg.yaml")
    assert done.returncode != 0
    assert "'man' is also the name of index 4" in output(done)

    datasets["vg.200"]["names"] = {4: "it's a man"}
    write_config(tree, "vg.yaml", name="vg", datasets=datasets, known_ratios=[0.5])
    jobs = planned(tree, "--until", "split", config="vg.yaml")
    assert {"prepare", "table", "split"} <= jobs.keys()
    files = ("train.npz", "test.npz", "known-0.50.npz")
    paths = [Path("results/vg/data/vg.200", name) for name in files]
    targets = ["--printshellcmds", *map(str, paths)]  # a flag ends the list of --configfile
    done = snakemake(tree, *targets, config="vg.yaml")
    assert done.returncode == 0, output(done)
    train, test, observed = (LabelTable.load(tree / path) for path in paths)
    assert train.categories == test.categories == (*NAMES, "it's a man")
    assert np.array_equal(train.labels[:, 4], train.labels[:, 0])
    known = observed.labels != 0
    assert np.array_equal(observed.labels[known], train.labels[known])
    assert "Nothing to be done" in output(snakemake(tree, *targets, config="vg.yaml"))
