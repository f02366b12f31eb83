"""How far an experiment is: runs in every state, as their files and logs tell it."""

import os
import sys

import pytest

from satl.cli import main
from satl.core.locks import hold_until_exit, holder
from satl.runs.joblog import read_job_log
from satl.runs.layout import TRAIN_FILES, training_jobs
from satl.runs.progress import QUIET, QUIET_ALONE, State, progress_of
from tests.fake_runs import experiment

NOW = 1_000_000_000.0
CONFIG = experiment(
    methods={"satl": {}, "partial_bce": {}}, known_ratios=[0.1, 0.5], runs_per_job=2,
    training={"epochs": 20},
)  # fmt: skip
SATL, PARTIAL = training_jobs(CONFIG)
BAR = "epoch {}/20:  50%|█████     | 20/40 [00:10<00:10, {}]"


@pytest.fixture
def results(tmp_path):
    return tmp_path


def log(results, job, text, age=0.0, step="train"):
    path = job.log(results, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (NOW - age, NOW - age))


def in_training(results, key, epochs=(), started=1000.0):
    """The store's record of an unfinished run, `started` seconds ago, and its saved epochs."""
    folder = key.within(results / "trained") / "abc"
    (folder / "checkpoint").mkdir(parents=True)
    files = {"fingerprint.json": started} | {
        f"checkpoint/epoch-{epoch:04d}.npz": age for epoch, age in epochs
    }
    for name, age in files.items():
        (folder / name).touch()
        os.utime(folder / name, (NOW - age, NOW - age))


def trained(folder):
    folder.mkdir(parents=True)
    for name in TRAIN_FILES:
        (folder / name).touch()


def states(results, job):
    found = progress_of(CONFIG, results, NOW)
    return [found.states[key] for key in job.runs]


def test_before_the_start_all_wait(results):
    assert set(progress_of(CONFIG, results, NOW).states.values()) == {State.WAITING}


def test_evaluated_runs_are_done_and_trained_ones_wait_for_it(results):
    first, _ = SATL.runs
    for key in SATL.runs:
        trained(SATL.run_folder(results, key))
    first.folder(results).mkdir(parents=True)
    (first.folder(results) / "metrics.json").touch()
    log(results, SATL, BAR.format(20, "2.00batch/s"))
    assert states(results, SATL) == [State.DONE, State.TRAINED]
    assert states(results, PARTIAL) == [State.WAITING, State.WAITING]


def test_a_running_job_tells_its_epoch_and_the_time_left(results):
    for key in SATL.runs:
        in_training(results, key)
    log(results, SATL, f"{BAR.format(6, '2.00batch/s')}\r{BAR.format(7, '4.00batch/s')}", age=5)
    job = progress_of(CONFIG, results, NOW).jobs[0]
    assert set(job.states.values()) == {State.RUNNING}
    assert job.epochs == 6.5
    assert job.seconds_left == pytest.approx(13.5 * 15)  # the median of 20 and 10 seconds


def test_saved_epochs_tell_the_time_better_than_batches(results):
    # Epochs 3 and 4 were saved at once; before epoch 5, the job was stopped for a while.
    saved = [(1, 900), (2, 800), (3, 600), (4, 600), (5, 110), (6, 10)]
    in_training(results, SATL.runs[0], saved)
    log(results, SATL, BAR.format(7, "2.00batch/s"), age=5)
    assert progress_of(CONFIG, results, NOW).jobs[0].seconds_left == pytest.approx(13.5 * 100)


def test_a_job_without_a_sign_of_life_has_stopped(results):
    in_training(results, SATL.runs[0])
    log(results, SATL, BAR.format(7, "2.00batch/s"), age=QUIET_ALONE - 1)
    assert states(results, SATL)[0] == State.RUNNING
    log(results, SATL, BAR.format(7, "2.00batch/s"), age=QUIET_ALONE + 1)
    assert states(results, SATL)[0] == State.STOPPED
    (results / ".lock").write_text(f"process {os.getpid()} on {os.uname().nodename}\n")
    assert states(results, SATL)[0] == State.RUNNING  # a test of many images may take so long
    log(results, SATL, BAR.format(7, "2.00batch/s"), age=QUIET + 1)
    assert states(results, SATL)[0] == State.STOPPED


def test_a_stopped_job_is_to_be_resumed(results):
    in_training(results, SATL.runs[0])
    text = (
        "satl train: stopped by SIGTERM after saving a checkpoint; rerun the same command to resume"
    )
    log(results, SATL, f"{BAR.format(7, '2.00batch/s')}\n{text}\n", age=1)
    assert states(results, SATL)[0] == State.STOPPED


def test_a_diverged_run_has_failed_and_its_neighbour_is_kept(results):
    good, bad = SATL.runs
    in_training(results, bad)
    trained(good.within(results / "trained") / "abc")  # Snakemake has deleted the job's outputs
    why = "the loss or its gradient is not finite"
    text = f"dropped: satl known-0.50: {why}\n{BAR.format(20, '2.00batch/s')}\n"
    text += f"satl train: error: satl known-0.50: {why}\n"
    log(results, SATL, text, age=1)
    job = progress_of(CONFIG, results, NOW).jobs[0]
    assert job.states == {good: State.TRAINED, bad: State.FAILED}
    assert job.reasons == {bad: why}


def test_a_failed_evaluation_is_told(results):
    for key in SATL.runs:
        trained(SATL.run_folder(results, key))
    log(results, SATL, BAR.format(20, "2.00batch/s"), age=5000)
    log(results, SATL, "satl evaluate: error: not finite\n", step="evaluate")
    job = progress_of(CONFIG, results, NOW).jobs[0]
    assert set(job.states.values()) == {State.FAILED}
    assert set(job.reasons.values()) == {"not finite"}


def test_errors_before_training_are_told(results):
    path = results / "logs" / "images" / "glyphs-train.log"
    path.parent.mkdir(parents=True)
    path.write_text("satl images: error: 3 images cannot be read\n")
    assert progress_of(CONFIG, results, NOW).preparation_errors == {path: "3 images cannot be read"}


def test_a_bug_is_told_by_the_last_line_of_its_traceback(tmp_path):
    path = tmp_path / "train.log"
    path.write_text(
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in <module>\n    f()\nValueError: no such thing\n'
    )
    found = read_job_log(path)
    assert (found.error, found.epochs) == ("ValueError: no such thing", None)


def test_slow_batches_are_read_too(tmp_path):
    path = tmp_path / "train.log"
    path.write_text(BAR.format(3, "2.50s/batch"))
    assert read_job_log(path).seconds_per_epoch == 100
    path.write_text("epoch 1/20:   0%|          | 0/40 [00:00<?, ?batch/s]")
    found = read_job_log(path)
    assert (found.seconds_per_epoch, found.epochs) == (None, 0)


def test_only_a_living_holder_is_named(tmp_path):
    path = tmp_path / ".lock"
    assert holder(path) is None
    hold_until_exit(path, "results/x")
    assert str(os.getpid()) in holder(path)
    path.write_text(f"process {2**22 + 1} on {os.uname().nodename}\n")  # beyond the largest id
    assert holder(path) is None
    path.write_text("process 1 on another.example\n")
    assert holder(path) == "process 1 on another.example"


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Two experiments below results/; `fake` was started last."""
    monkeypatch.chdir(tmp_path)
    text = "methods: {satl: , partial_bce: }\ndatasets: {glyphs: {format: glyphs}}\n"
    text += "known_ratios: [0.1, 0.5]\nseeds: [0, 1, 2]\n"
    for name in ("old", "fake"):
        folder = tmp_path / "results" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(f"name: {name}\n{text}")
    os.utime(tmp_path / "results/old/config.yaml", (NOW, NOW))
    return tmp_path / "results"


def test_the_command_prints_a_sign_per_seed(started, capsys):
    folder = started / "fake/runs/glyphs/satl/known-0.50/seed-1"
    folder.mkdir(parents=True)
    (folder / "metrics.json").touch()
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("results/fake: 1 of 12 runs done, 11 waiting")
    assert [line.split() for line in lines if line.startswith("satl")] == [["satl", "···", "·✓·"]]
    assert main(["status", str(started / "old")]) == 0
    assert "0 of 12 runs done" in capsys.readouterr().out
    assert main(["status", "--configfile", str(started / "old/config.yaml")]) == 0
    assert "results/old" in capsys.readouterr().out


def test_the_command_says_once_why_runs_failed(started, capsys):
    logs = [
        started / f"fake/logs/train/glyphs/seed-{seed}/satl-known-0.50.log" for seed in range(3)
    ]
    for path, why in zip(logs, ("memory is too small", "disk full", "disk full"), strict=True):
        path.parent.mkdir(parents=True)
        path.write_text(f"satl train: error: {why}\n")
    main(["status"])
    text = capsys.readouterr().out
    assert "  glyphs/satl/known-0.50/seed-0\n    memory is too small\n" in text
    assert "  glyphs/satl/known-0.50/seed-1 and 1 more\n    disk full\n" in text
    assert f"log: {logs[1].relative_to(started.parent)}" in text


def test_nothing_started_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 2
    assert "name a results folder" in capsys.readouterr().err
    assert main(["status", "results/none"]) == 2
    assert "results/none/config.yaml" in capsys.readouterr().err


def test_it_is_quick(started, monkeypatch):
    for name in ("torch", "numpy", "pandas"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, name, None)  # importing it would fail
    assert main(["status"]) == 0
