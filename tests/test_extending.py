"""What docs/extending.md says to write works as it stands there, from the code to the tables."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from extended_tree import PAGE, SECTIONS, STEP, append, blocks, experiment, extend, section, yaml_of
from workflow_trials import output, planned, snakemake, write_config

from satl.data.table import LabelTable

RUNS = "results/tiny/runs/glyphs"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """The extended tree, in which its experiment has run."""
    tree = tmp_path_factory.mktemp("extended")
    extend(tree)
    done = snakemake(tree)
    assert done.returncode == 0, output(done)
    return tree


def python(tree: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, output(done)
    return done.stdout


def satl(tree: Path, *arguments: str) -> str:
    return python(tree, "-m", "satl", *arguments)


def config_of(tree: Path, variant: str) -> dict:
    return yaml.safe_load((tree / RUNS / variant / "known-0.50/seed-0/config.yaml").read_text())


def test_the_methods_and_the_rule_are_in_the_tables(extended):
    methods = experiment()["methods"]
    assert methods.keys() >= {"label_smoothing", "satl-one-sigma"}
    summary = pd.read_csv(extended / "results/tiny/summary.csv")
    assert set(summary["method"]) == set(methods)
    assert summary["mAP"].between(0, 100).all()
    for dataset in ("glyphs", "pets"):
        table = (extended / f"results/tiny/tables/{dataset}.csv").read_text()
        assert all(name in table for name in methods)


def test_options_backbone_and_config_key_are_on_record(extended):
    smoothed = config_of(extended, "label_smoothing-strong")
    assert smoothed["method_class"] == "label_smoothing"
    assert smoothed["options"] == {"smoothing": 0.3}
    assert smoothed["model"]["backbone"] == "resnet10t"
    assert smoothed["model"]["frozen"] == "layer2"
    assert smoothed["training"].items() >= yaml_of("A config key", "training").items()
    assert config_of(extended, "satl-one-sigma")["options"]["rule"] == "one_sigma"


def test_thresholds_are_those_of_the_new_rule(extended):
    run = extended / RUNS / "satl-one-sigma/known-0.50/seed-0"
    rows = pd.read_parquet(run / "thresholds.parquet")
    rows = rows[rows["tau_pos"] < float("inf")]
    assert len(rows)
    assert (rows["tau_pos"] - (rows["mu_pos"] - rows["sigma_pos"])).abs().max() < 1e-4


def test_the_data_format_is_read_as_its_files_say(extended):
    assert len(blocks("A data format", "python")[0].splitlines()) <= 40
    test = LabelTable.load(extended / "results/tiny/data/pets/test.npz")
    lines = (extended / "pets/test.csv").read_text().splitlines()
    named = [[1 if name in line.split(",") else -1 for name in ("cat", "dog")] for line in lines]
    assert test.labels.tolist() == named


def test_the_figure_is_drawn_of_the_runs(extended):
    figures = extended / "results/tiny/figures"
    index = json.loads((figures / "index.json").read_text())["figures"]
    entry = next(figure for figure in index if figure["file"] == "glyphs-loss.png")
    assert len(entry["runs"]) == len(experiment()["methods"])
    assert (figures / "glyphs-loss.png").stat().st_size > 5000
    assert (figures / "glyphs-loss.pdf").is_file()


def test_the_metric_is_the_last_column_of_the_summary(extended):
    summary = pd.read_csv(extended / "results/tiny/summary.csv")
    assert list(summary.columns)[5:7] == ["mAP", "mAP_voc2012"]
    assert summary.columns[-1] == "one_error"
    assert summary["one_error"].between(0, 100).all()


def test_the_command_prints_the_best_method(extended):
    said = satl(extended, "best", "--config", "results/tiny/config.yaml").split()
    summary = pd.read_csv(extended / "results/tiny/summary.csv")
    last = summary[summary["selection"] == "last"]
    assert said[-2] == last.loc[last["mAP"].idxmax(), "method"]


def test_the_tracker_gets_the_runs(extended):
    said = satl(extended, "track", "--to", "json_lines", "--config", "results/tiny/config.yaml")
    methods = experiment()["methods"]
    assert json.loads(said) == {"written": 2 * len(methods)}
    lines = (extended / "results/tiny/runs.jsonl").read_text().splitlines()
    assert {json.loads(line)["method"] for line in lines} == set(methods)


def test_the_loss_without_focus_is_that_of_partial_bce(extended):
    code = (
        "import torch; from satl.losses import partial_bce, partial_focal\n"
        "x, y = torch.randn(5, 4), torch.randint(-1, 2, (5, 4))\n"
        "assert torch.allclose(partial_focal(x, y, gamma=0), partial_bce(x, y))\n"
        "assert partial_focal(x, y) < partial_bce(x, y)"
    )
    python(extended, "-c", code)


CLIPPED_STEP = """
from pathlib import Path
from types import SimpleNamespace
import numpy as np, torch
from baselines.partial_bce import PartialBCE
from satl.config import Training
from satl.methods.base import Context
from satl.training.run import TrainingRun

labels = np.zeros((2, 1))
table = SimpleNamespace(labels=labels, categories=("cat",))
context = Context(table.categories, 1, 1, torch.from_numpy(labels))
parts = torch.nn.Linear(2, 1), PartialBCE(PartialBCE.Options(), context)
protocol = Training(max_grad_norm=0.5)
run = TrainingRun("x", table, *parts, protocol, 1, 0, Path("x"), torch.device("cpu"))
for parameter in run.trained:
    parameter.grad = torch.full_like(parameter, 3.0)
norms = []
run.optimizer.register_step_pre_hook(
    lambda *_: norms.append(torch.cat([p.grad.flatten() for p in run.trained]).norm().item())
)
run._update()
assert np.allclose(norms, [0.5]), norms
"""


def test_the_config_key_acts_before_the_optimiser(extended):
    python(extended, "-c", CLIPPED_STEP)


def test_what_is_added_has_the_style_of_the_rest(extended):
    steps = [step for name in SECTIONS for step in STEP.finditer(section(name))]
    files = sorted({step["new"] or step["file"] for step in steps})
    config = ["--config", str(PAGE.parent.parent / "pyproject.toml")]
    for check in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *check, *config, *files]
        done = subprocess.run(ruff, cwd=extended, capture_output=True, text=True)
        assert done.returncode == 0, output(done)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"frozen": "layer5"}}, r"no stage 'layer5' .*its stages are act1"),
        ({"model": {"backbone": "resnet10x"}}, r"unknown backbone 'resnet10x' \(did you mean"),
        ({"methods": {"satl": {"rule": "one_sgima"}}}, r"satl\.rule: .*did you mean 'one_sigma'"),
        ({"methods": {"label_smothing": {}}}, r"did you mean 'label_smoothing'"),
        (
            {"datasets": {"pets": {"format": "folders", "folders": "x"}}},
            r"pets\.folders: unknown key \(did you mean 'folder'\?\)",
        ),
        (
            {"datasets": {"pets": {"format": "folder"}}},
            r"unknown format 'folder' \(did you mean 'folders'\?\)",
        ),
    ],
)
def test_what_is_misspelt_is_named_before_anything_runs(extended, changes, message):
    config = experiment()
    for part, values in changes.items():
        config[part] = {**config[part], **values} if part == "model" else values
    write_config(extended, "bad.yaml", **config, name="bad")
    done = snakemake(extended, config="bad.yaml")
    assert done.returncode != 0
    assert re.search(message, output(done)), output(done)
    assert "bad.yaml is not valid" in output(done)
    assert not (extended / "results/bad").exists()


# The last one: it edits the tree that the others look at.
def test_an_edit_of_a_format_reads_its_tables_again(extended):
    append(extended / "satl/data/formats/vg.py", "\nEDITED = 1\n")
    assert planned(extended) == {}, "another format"
    append(extended / "satl/data/formats/folders.py", "\nEDITED = 1\n")
    jobs = planned(extended)
    assert jobs["table"] == {"pets-train", "pets-test"}, jobs
    assert jobs.keys() >= {"split", "train"}
