"""The workflow's follower: MLflow shows runs while they train, and may be killed at any time."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient
from workflow_trials import TINY, copy_tree, hurry, linger, planned, write_config

from satl.config import load
from satl.tracking.mlflow import track

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A source tree whose trainings outlast ten kills of their followers."""
    folder = tmp_path_factory.mktemp("clone")
    copy_tree(folder)
    linger(folder)
    write_config(folder, training={**TINY["training"], "epochs": 50})
    return folder


def followers(tree):
    """Process ids of those that follow in this tree."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"watch" in words and (process / "cwd").resolve() == tree.resolve():
                found.append(int(process.name))
    return found


def running(tree):
    """Points that MLflow has of runs that count as running."""
    if not (tree / "results/mlflow.db").exists():
        return 0
    query = (
        "select count(*) from metrics join runs using (run_uuid) "
        "where status = 'RUNNING' and lifecycle_stage = 'active' and key = 'test_mAP'"
    )
    with closing(sqlite3.connect(tree / "results/mlflow.db")) as store, suppress(sqlite3.Error):
        return store.execute(query).fetchone()[0]
    return 0


def told(uri):
    client = MlflowClient(uri)
    runs = client.search_runs([found.experiment_id for found in client.search_experiments()])
    return {
        run.info.run_name: (
            run.info.status,
            run.data.params,
            sorted(
                (name, point.step, point.value)
                for name in run.data.metrics
                for point in client.get_metric_history(run.info.run_id, name)
            ),
        )
        for run in runs
    }


@pytest.mark.long
def test_ten_kills_of_the_follower_change_nothing(tree, tmp_path):
    assert planned(tree)["train"] and not followers(tree)  # a dry run starts none
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "tiny.yaml"]
    watch = [sys.executable, "-m", "satl", "watch", "--config", "results/tiny/config.yaml"]
    moments, kills, seen = random.Random(0), 0, 0
    with open(tree / "log", "w") as log:
        workflow = subprocess.Popen(command, cwd=tree, stdout=log, stderr=log)
        while workflow.poll() is None:
            seen = max(seen, running(tree))
            if kills == 10 and seen:
                hurry(tree)
            for process in followers(tree) if kills < 10 else []:
                time.sleep(moments.uniform(0, 5))  # some seconds pass before it writes
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                kills += 1
                time.sleep(0.2)
                if not followers(tree) and workflow.poll() is None:
                    subprocess.Popen([*watch, "--while-workflow"], cwd=tree, stderr=log)
            time.sleep(0.5)
    assert workflow.returncode == 0, (tree / "log").read_text()
    assert kills == 10
    assert seen  # while they trained
    end = time.monotonic() + 60
    while followers(tree):  # they end with the workflow
        assert time.monotonic() < end
        time.sleep(0.5)
    alone = f"sqlite:///{tmp_path}/mlflow.db"
    track(load(tree / "results/tiny/config.yaml"), tree / "results/tiny", alone)
    whole = told(alone)
    assert told(f"sqlite:///{tree}/results/mlflow.db") == whole
    assert {status for status, *_ in whole.values()} == {"FINISHED"} and len(whole) == 7
    # An address that was open in a browser is still there.
    with closing(sqlite3.connect(tree / "results/mlflow.db")) as store:
        assert not store.execute("select * from runs where lifecycle_stage = 'deleted'").fetchall()


def test_a_workflow_that_is_killed_leaves_no_run_running(tree):
    (tree / "hurry").unlink(missing_ok=True)
    write_config(tree, training={**TINY["training"], "epochs": 51})
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "tiny.yaml"]
    with open(tree / "log", "w") as log:
        workflow = subprocess.Popen(
            command, cwd=tree, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while not running(tree):
                assert workflow.poll() is None, (tree / "log").read_text()
                time.sleep(0.5)
        finally:
            os.killpg(workflow.pid, signal.SIGKILL)
            workflow.wait()
    end = time.monotonic() + 60
    while followers(tree):
        assert time.monotonic() < end
        time.sleep(0.5)
    states = {status for status, *_ in told(f"sqlite:///{tree}/results/mlflow.db").values()}
    assert "RUNNING" not in states and "KILLED" in states
