"""What docs/extending.md says to write works as it stands there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from workflow_trials import TINY, copy_tree, output, snakemake, write_config

PAGE = Path(__file__).parent.parent / "docs/extending.md"
STEP = re.compile(
    r"^(?:New file `(?P<new>[^`]+)`|In `(?P<file>[^`]+)`, (?P<side>above|below) `(?P<line>[^`]+)`):"
    r"\n\n```(?:python)?\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SECTIONS = ("A figure", "A metric", "A command", "A loss", "A config key", "A tracker")
pytestmark = pytest.mark.slow


def section(name: str) -> str:
    return PAGE.read_text().partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def follow(tree: Path, name: str) -> None:
    """Do to the source tree what a section says."""
    steps = list(STEP.finditer(section(name)))
    assert steps, f"{PAGE}: nothing to do under {name!r}"
    for step in steps:
        if step["new"]:
            assert not (tree / step["new"]).exists()
            (tree / step["new"]).write_text(step["code"])
        else:
            insert(tree / step["file"], step["line"], step["side"], step["code"])


def insert(file: Path, anchor: str, side: str, code: str) -> None:
    lines = file.read_text().splitlines(keepends=True)
    found = [index for index, line in enumerate(lines) if anchor in line]
    assert len(found) == 1, f"{file}: {anchor!r} stands on {len(found)} lines, not on one"
    gap = "\n\n" if code.startswith("def ") else ""
    lines.insert(found[0] + (side == "below"), code + gap)
    file.write_text("".join(lines))


def python(tree: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, output(done)
    return done.stdout


def satl(tree: Path, *arguments: str) -> str:
    return python(tree, "-m", "satl", *arguments)


def training_of_the_page() -> dict:
    """The section `training` that the page shows with its config key."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", section("A config key"), re.M | re.S)
    return yaml.safe_load(block)["training"]


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Path:
    """A source tree with all of it, in which a tiny experiment has run."""
    tree = tmp_path_factory.mktemp("extended")
    copy_tree(tree)
    for name in SECTIONS:
        follow(tree, name)
    methods = {"partial_bce": {}, "assume_negative": {}}
    training = TINY["training"] | training_of_the_page()
    write_config(tree, methods=methods, known_ratios=[0.5], training=training)
    done = snakemake(tree)
    assert done.returncode == 0, output(done)
    return tree


def test_the_figure_is_drawn_of_the_runs(extended):
    figures = extended / "results/tiny/figures"
    index = json.loads((figures / "index.json").read_text())["figures"]
    entry = next(figure for figure in index if figure["file"] == "glyphs-loss.png")
    assert len(entry["runs"]) == 2
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
    assert json.loads(said) == {"written": 2}
    lines = (extended / "results/tiny/runs.jsonl").read_text().splitlines()
    assert {json.loads(line)["method"] for line in lines} == {"partial_bce", "assume_negative"}


def test_the_loss_without_focus_is_that_of_partial_bce(extended):
    code = (
        "import torch; from satl.losses import partial_bce, partial_focal\n"
        "x, y = torch.randn(5, 4), torch.randint(-1, 2, (5, 4))\n"
        "assert torch.allclose(partial_focal(x, y, gamma=0), partial_bce(x, y))\n"
        "assert partial_focal(x, y) < partial_bce(x, y)"
    )
    python(extended, "-c", code)


def test_the_config_key_is_on_record(extended):
    run = extended / "results/tiny/runs/glyphs/partial_bce/known-0.50/seed-0"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["training"].items() >= training_of_the_page().items()


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
