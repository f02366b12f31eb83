"""The whole DAG on a tiny configuration, in a copy of the source tree, as a user runs it."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import write_coco
from make_vg import NAMES, vg_config, write_vg

from satl.data.table import LabelTable

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow

TINY = {
    "name": "tiny",
    "device": "cpu",
    "datasets": {"glyphs": {"format": "glyphs", "train_images": 60, "test_images": 30}},
    "methods": {"satl": {}, "partial_bce": {}},
    "known_ratios": [0.5, 0.9],
    "validation": 0.25,
    "runs_per_job": 2,
    "model": {"backbone": "tiny", "weights": "glyphs", "feature_dim": 16, "attention_dim": 8},
    "training": {
        "epochs": 3, "batch_size": 20, "learning_rate": 1e-3, "lr_step": 2, "resize": 36,
        "image_size": 32, "workers": 0, "image_cache": "disk",
    },
    "pretraining": {"images": 200, "epochs": 1},
}  # fmt: skip


def snakemake(tree, *arguments, config="tiny.yaml"):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", config]
    return subprocess.run(
        [*command, *arguments], cwd=tree, capture_output=True, text=True, timeout=400
    )


def output(done):
    return done.stdout + done.stderr


def planned(tree, *arguments, **options):
    """Jobs that a dry run announces, by rule; those of training and evaluation by their name."""
    done = snakemake(tree, "-n", *arguments, **options)
    assert done.returncode == 0, output(done)
    jobs = {}
    for rule, body in re.findall(
        r"^(?:local)?rule (\w+):\n((?: .*\n)*)", output(done), re.MULTILINE
    ):
        job = re.search(r"\bjob=([^,\s]+)", body) or re.search(r"log: .*/(.*)\.log", body)
        jobs.setdefault(rule.split("_")[0], set()).add(job and job[1])
    return jobs


def copy_tree(folder):
    for name in ("satl", "baselines", "workflow"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "Snakefile", folder)
    shutil.copy(ROOT / "environment.yml", folder)
    (folder / "profiles").symlink_to("workflow/profiles")


def write_config(tree, file="tiny.yaml", /, **changes):
    (tree / file).write_text(yaml.safe_dump({**TINY, **changes}))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A source tree in which the tiny experiment has run to its end."""
    folder = tmp_path_factory.mktemp("clone")
    copy_tree(folder)
    write_config(folder)
    done = snakemake(folder)
    assert done.returncode == 0, output(done)
    return folder


def test_the_summary_has_one_row_a_run_and_selection(tree):
    summary = pd.read_csv(tree / "results/tiny/summary.csv")
    assert ",".join(summary.columns) == (
        "dataset,method,known_ratio,seed,selection,mAP,mAP_voc2012,"
        "OP,OR,OF1,CP,CR,CF1,OP3,OR3,OF13,CP3,CR3,CF13,AUROC,ECE"
    )
    assert len(summary) == 2 * 2 * 3  # methods, ratios, selections
    assert summary["mAP"].between(0, 100).all()


def test_tables_figures_and_records_are_there(tree):
    results = tree / "results/tiny"
    for suffix in ("md", "tex", "csv", "html"):
        assert "satl" in (results / f"tables/glyphs.{suffix}").read_text()
    assert 'id="data"' in (results / "index.html").read_text()
    figures = {path.name for path in (results / "figures").iterdir()}
    for name in (
        "glyphs-map-by-known-ratio", "glyphs-thresholds-satl", "glyphs-score-distributions-satl"
    ):  # fmt: skip
        assert {f"{name}.png", f"{name}.pdf"} <= figures
    run = results / "runs/glyphs/satl/known-0.50/seed-0"
    assert {path.name for path in run.iterdir()} == {
        "config.yaml", "metrics.jsonl", "thresholds.parquet", "predictions.npz",
        "training_scores.npz", "run.json", "metrics.json", "score_histogram.parquet",
        "bootstrap.npz",
    }  # fmt: skip


def test_mlflow_holds_the_runs_once(tree):
    query = "select name from runs where lifecycle_stage = 'active' and status = 'FINISHED'"
    with sqlite3.connect(tree / "results/mlflow.db") as store:
        names = sorted(name for (name,) in store.execute(query))
    assert names == [
        "partial_bce known-0.50 seed-0", "partial_bce known-0.90 seed-0", "partial_bce seed-0",
        "report", "satl known-0.50 seed-0", "satl known-0.90 seed-0", "satl seed-0",
    ]  # fmt: skip
    receipt = json.loads((tree / "results/tiny/mlflow.json").read_text())
    assert sum(receipt.values()) == 7 and receipt["replaced"] == 0


def test_a_second_run_has_nothing_to_do(tree):
    assert "Nothing to be done" in output(snakemake(tree))


def test_an_option_reruns_the_runs_of_its_method_alone(tree):
    write_config(tree, methods={"satl": {"q": 0.9}, "partial_bce": {}})
    try:
        jobs = planned(tree)
    finally:
        write_config(tree)
    assert jobs["train"] == {"satl-known-0.50+1"}
    assert jobs["evaluate"] == {"satl-known-0.50+1"}
    assert jobs.keys() == {"all", "train", "evaluate", "report", "track"}


def test_with_one_run_per_job_each_run_is_a_job_of_its_own(tree):
    write_config(tree, "single.yaml", name="single", runs_per_job=1)
    jobs = planned(tree, config="single.yaml")["train"]
    assert jobs == {f"{m}-known-{r}" for m in ("satl", "partial_bce") for r in ("0.50", "0.90")}


@pytest.mark.parametrize(
    ("changes", "again"),
    [({"epochs": 4}, False), ({"resize": 40}, True), ({"image_cache": "memory"}, True)],
)
def test_images_are_decoded_again_only_at_another_size(tree, changes, again):
    write_config(tree, training={**TINY["training"], **changes})
    try:
        jobs = planned(tree)
    finally:
        write_config(tree)
    assert ("images" in jobs) == again
    assert jobs["train"] == {"satl-known-0.50+1", "partial_bce-known-0.50+1"}
    assert not {"prepare", "table"} & jobs.keys()


def test_weights_that_are_wanted_later_are_trained_for(tree):
    write_config(tree, training={**TINY["training"], "keep_weights": "best_on_validation"})
    try:
        jobs = planned(tree)
    finally:
        write_config(tree)
    assert jobs["train"] == {"satl-known-0.50+1", "partial_bce-known-0.50+1"}
    assert jobs.keys() == {"all", "train", "evaluate", "report", "track"}


@pytest.mark.parametrize(
    ("file", "reruns"),
    [
        ("baselines/partial_bce.py", {"train", "evaluate", "report", "track", "all"}),
        ("satl/evaluation/evaluate.py", {"evaluate", "report", "track", "all"}),
        ("satl/tracking/mlflow/tracking.py", {"track", "all"}),
        ("satl/core/places.py", set()),
    ],
)
def test_an_edit_reruns_what_depends_on_it(tree, file, reruns):
    path = tree / file
    source = path.read_text()
    path.write_text(source + "\nEDITED = 1\n")
    try:
        jobs = planned(tree)
    finally:
        path.write_text(source)
    assert set(jobs) == reruns
    if file.startswith("baselines"):
        assert jobs["train"] == {"partial_bce-known-0.50+1"}


def test_a_killed_training_job_goes_on_where_it_was(tree):
    write_config(
        tree, "long.yaml", name="long", methods={"satl": {}}, known_ratios=[0.5],
        training={**TINY["training"], "epochs": 1200},
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "long.yaml"],
        cwd=tree, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while not list(tree.glob("results/long/trained/**/state.pt")):
        assert process.poll() is None, "ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    kill_training(tree)
    assert process.wait(timeout=100) != 0
    assert not list(tree.glob("results/long/runs/**/run.json"))
    done = snakemake(tree, "--until", "report", config="long.yaml")
    assert done.returncode == 0, output(done)
    log = next(tree.glob("results/long/logs/train/glyphs/*/*.log")).read_text()
    assert "epoch 1200/1200" in log
    assert "epoch 1/1200" not in log
    assert not list(tree.glob("results/long/trained/**/checkpoint"))


def kill_training(tree):
    """SIGKILL for every `satl train` of this tree."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"train" in words and (entry / "cwd").resolve() == tree.resolve():
                os.kill(int(entry.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"epoch": 3}}, r"training\.epoch: unknown key \(did you mean 'epochs'"),
        ({"known_ratios": [2]}, r"2\.0 is outside \(0, 1\]"),
        ({"methods": {"stal": {}}}, "unknown method 'stal'"),
        (
            {"methods": {"satl": {"qq": 1}}},
            r"methods\.satl\.qq: unknown key .*there are rule, q,",
        ),
        ({"datasets": {"d": {"format": "tfds"}}}, "'tfds'"),
    ],
)
def test_a_bad_config_stops_before_anything_runs(tree, changes, message):
    write_config(tree, "bad.yaml", **{"name": "bad", **changes})
    done = snakemake(tree, config="bad.yaml")
    assert done.returncode != 0
    assert re.search(message, output(done)), output(done)
    assert not (tree / "results/bad").exists()


def test_another_config_of_the_same_name_overwrites_nothing(tree):
    write_config(tree, "other.yaml", known_ratios=[0.3])
    done = snakemake(tree, config="other.yaml")
    assert done.returncode != 0
    assert "results/tiny holds the results of another config, tiny.yaml" in output(done)


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


def test_seeds_share_their_masks(tree):
    """A second seed, and other masks, are asked of training; splits do not depend on the seed."""
    write_config(tree, "seeds.yaml", name="seeds", seeds=[0, 1], mask_seed=7, known_ratios=[0.5])
    done = snakemake(tree, "-n", "--printshellcmds", config="seeds.yaml")
    assert done.returncode == 0, output(done)
    splits = re.findall(r"satl split .*--seed (\d+)\s+--out (\S+)", output(done))
    data = "results/seeds/data/glyphs"
    assert sorted(splits) == [
        ("7", f"{data}/known-0.50.npz"), ("7", f"{data}/validation-known-0.50.npz")
    ]  # fmt: skip
    trained = re.findall(r"satl train .*--seed (\d+)", output(done))
    assert sorted(trained) == ["0", "1"]


# The last one: it changes the results that the others look at.
def test_a_new_ratio_trains_its_runs_alone(tree):
    """It joins the jobs of its neighbours, whose finished runs are used again."""
    write_config(tree, known_ratios=[0.5, 0.7, 0.9], runs_per_job=3)
    try:
        assert planned(tree)["train"] == {"satl-known-0.50+2", "partial_bce-known-0.50+2"}
        before = {
            r: r.stat().st_ino for r in tree.glob("results/tiny/runs/*/*/*/*/predictions.npz")
        }
        done = snakemake(tree)
        assert done.returncode == 0, output(done)
    finally:
        write_config(tree)
    logs = [log.read_text() for log in tree.glob("results/tiny/logs/train/glyphs/seed-0/*+2.log")]
    assert [log.count("reusing the finished run") for log in logs] == [2, 2]
    assert all(run.stat().st_ino == inode for run, inode in before.items())
    summary = pd.read_csv(tree / "results/tiny/summary.csv")
    assert set(summary.known_ratio) == {0.5, 0.7, 0.9}
