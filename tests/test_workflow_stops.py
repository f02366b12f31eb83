"""Workflows that stop: by a mistake in the config, and by a kill."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from workflow_trials import TINY, copy_tree, hurry, linger, output, snakemake, write_config

pytestmark = pytest.mark.slow


@pytest.fixture
def tree(tmp_path):
    """A source tree in which nothing has run."""
    copy_tree(tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has a GPU")
def test_a_network_that_is_too_large_for_a_cpu_is_pointed_out(tree):
    network = {"backbone": "resnet101", "weights": "random"}
    warnings = []
    for changes in (
        {"model": network},
        {"model": network, "device": "cpu"},
        {"model": network | {"frozen": "all"}, "training": {"cached_views": 2}},
    ):
        write_config(tree, **{"device": "auto", **changes})
        done = snakemake(tree, "--until", "prepare")
        assert done.returncode == 0, output(done)
        warnings.append(re.findall(r"No GPU here .*: resnet101 .* at 32 pixels", output(done)))
    assert [len(found) for found in warnings] == [1, 0, 0]


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


def test_a_killed_training_job_goes_on_where_it_was(tree):
    linger(tree)
    write_config(
        tree, "long.yaml", name="long", methods={"satl": {}}, known_ratios=[0.5],
        training={**TINY["training"], "epochs": 30},
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
    hurry(tree)
    assert process.wait(timeout=100) != 0
    assert not list(tree.glob("results/long/runs/**/run.json"))
    done = snakemake(tree, "--until", "report", config="long.yaml")
    assert done.returncode == 0, output(done)
    log = next(tree.glob("results/long/logs/train/glyphs/*/*.log")).read_text()
    assert "epoch 30/30" in log
    assert "epoch 1/30" not in log
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
