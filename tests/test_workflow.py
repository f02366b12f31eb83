"""The whole DAG on a tiny configuration, as a user runs it: what is made, and when it is again."""

import json
import re
import sqlite3

import pandas as pd
import pytest
from workflow_trials import TINY, copy_tree, output, planned, snakemake, write_config

pytestmark = pytest.mark.slow


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


def test_another_config_of_the_same_name_overwrites_nothing(tree):
    write_config(tree, "other.yaml", known_ratios=[0.3])
    done = snakemake(tree, config="other.yaml")
    assert done.returncode != 0
    assert "results/tiny holds the results of another config, tiny.yaml" in output(done)


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


def test_long_trainings_start_first_and_after_what_looks_at_the_data(tree):
    methods = {"satl": {}, "sst": {}, "partial_bce": {}}
    write_config(tree, "long.yaml", name="long", methods=methods, known_ratios=[0.5])
    said = output(snakemake(tree, "-n", "--config", "runs_per_job=1", config="long.yaml"))
    jobs = re.findall(r"^rule (?:train|images):\n((?:    .*\n)*)", said, re.MULTILINE)
    told = [re.search(r"log: .*/(\w+).*\.log\n(?:.*\n)*    priority: (\S+)", job) for job in jobs]
    priorities = {name: float(priority) for name, priority in (found.groups() for found in told)}
    assert priorities["satl"] == priorities["partial_bce"] < priorities["sst"] < 1
    assert priorities["glyphs"] == 1  # what finds a mistake in them
