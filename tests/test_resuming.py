"""Interrupted trainings: whatever stops them, the same command ends at the same numbers."""

import multiprocessing
import os
import random
import re
import signal
import sys
import time
from dataclasses import replace

import pytest
import torch
from trials import TRAINING, Interrupted, apart, same_numbers, spec, stop_before_step

from satl import cli
from satl.core.errors import UserError
from satl.runs.folder import RunFolder
from satl.training import trainer
from satl.training.engine import train
from satl.training.run import TrainingRun
from satl.training.stopping import Stopped

STEPS = 4  # in each of the three epochs

pytestmark = pytest.mark.usefixtures("every_epoch_saves")


@pytest.fixture
def every_step_saves(monkeypatch):
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0)


@pytest.mark.parametrize("stop_at", [1, 5, 9])
def test_resuming_gives_the_same_bits(tmp_path, shared, observed, monkeypatch, stop_at):
    """Die in the first, second and third epoch, then go on from the last whole one."""
    train(apart(shared), [spec(observed, tmp_path / "whole")])
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_before_step(patch, stop_at)
        train(shared, [spec(observed, tmp_path / "run")])
    assert not (tmp_path / "run").exists()
    done = stop_before_step(monkeypatch, None)
    train(shared, [spec(observed, tmp_path / "run")])
    same_numbers(tmp_path / "whole", tmp_path / "run")
    assert done[0] == ((stop_at - 1) // STEPS, 0), "finished epochs are not repeated"


FLIPPING = {"scheme": "correct_permanently", "delta": 0.2}


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("satl", {}),
        ("sst", {}),
        ("sarb", {}),
        ("hst", {}),
        ("curriculum_labeling", {}),
        ("csl", {"likely": 1, "prior_threshold": 0.3}),
        ("large_loss", FLIPPING),
        ("boost_lu", FLIPPING),
        ("role", {}),
        ("cap", {}),
        ("entropy_maximization", {"asymmetric_pseudo_labels": True}),
        ("sr_st", {}),
    ],
)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_checkpoint_in_mid_epoch_gives_the_same_bits(
    tmp_path, shared, observed, monkeypatch, every_step_saves, method, options, accumulate
):
    protocol = TRAINING.model_copy(update={"accumulate": accumulate})
    shared = replace(shared, training=protocol)
    train(apart(shared), [spec(observed, tmp_path / "whole", method, **options)])
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_before_step(patch, 8)
        train(shared, [spec(observed, tmp_path / "run", method, **options)])
    done = stop_before_step(monkeypatch, None)
    train(shared, [spec(observed, tmp_path / "run", method, **options)])
    same_numbers(tmp_path / "whole", tmp_path / "run")
    assert done[0] == (1, 3), "goes on after the last update of the weights"


@pytest.mark.parametrize("rule", ["midrange", "handover", "quota"])
def test_rules_that_remember_an_epoch_resume(tmp_path, shared, observed, monkeypatch, rule):
    options = {"rule": rule, "warmup": 0.3}
    train(apart(shared), [spec(observed, tmp_path / "whole", **options)])
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(trainer, "CHECKPOINT_SECONDS", 0)
        stop_before_step(patch, 7)
        train(shared, [spec(observed, tmp_path / "run", **options)])
    train(shared, [spec(observed, tmp_path / "run", **options)])
    same_numbers(tmp_path / "whole", tmp_path / "run")
    last = RunFolder(tmp_path / "run").thresholds().tail(4)
    assert (last["tau_pos"] < float("inf")).any()


def test_a_signal_saves_a_checkpoint_first(tmp_path, shared, observed, monkeypatch):
    train(apart(shared), [spec(observed, tmp_path / "whole")])
    real = TrainingRun.train_step

    def step(run, *arguments):
        real(run, *arguments)
        if (run.epoch, run.step) == (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(Stopped) as stopped:
        patch.setattr(TrainingRun, "train_step", step)
        train(shared, [spec(observed, tmp_path / "run")])
    assert stopped.value.exit_status == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    done = stop_before_step(monkeypatch, None)
    train(shared, [spec(observed, tmp_path / "run")])
    assert done[0] == (1, 2)
    same_numbers(tmp_path / "whole", tmp_path / "run")


def test_runs_at_different_places_catch_up(tmp_path, shared, observed, monkeypatch):
    """Killed while checkpoints were being written: one run has saved more than the other."""
    runs = [spec(observed, tmp_path / name, name) for name in ("satl", "partial_bce")]
    for run in runs:
        train(apart(shared), [replace(run, folder=run.folder.with_suffix(".alone"))])
    real, saved = TrainingRun.save, 0

    def save(run):
        nonlocal saved
        saved += 1
        if saved == 8:
            raise Interrupted
        real(run)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(trainer, "CHECKPOINT_SECONDS", 0)
        patch.setattr(TrainingRun, "save", save)
        train(shared, runs)
    train(shared, runs)
    for run in runs:
        same_numbers(run.folder, run.folder.with_suffix(".alone"))


def test_a_checkpoint_of_other_options_is_not_used(tmp_path, shared, observed, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_before_step(patch, STEPS + 1)
        train(shared, [spec(observed, tmp_path / "a")])
    done = stop_before_step(monkeypatch, None)
    train(shared, [spec(observed, tmp_path / "b", ranking_weight=0.0)])
    assert done[0] == (0, 0)


def test_settings_of_speed_alone_keep_checkpoint_and_folder(
    tmp_path, shared, observed, monkeypatch
):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_before_step(patch, STEPS + 1)
        train(shared, [spec(observed, tmp_path / "run")])
    slower = shared.training.model_copy(update={"workers": 1, "image_cache": "none"})
    done = stop_before_step(monkeypatch, None)
    train(replace(shared, training=slower), [spec(observed, tmp_path / "run")])
    assert done[0] == (1, 0)
    train(shared, [spec(observed, tmp_path / "run")])


def test_a_checkpoint_for_other_test_images_is_not_used(tmp_path, shared, observed, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_before_step(patch, STEPS + 1)
        train(shared, [spec(observed, tmp_path / "run")])
    fewer = replace(
        shared.test, file_names=shared.test.file_names[1:], image_ids=shared.test.image_ids[1:],
        labels=shared.test.labels[1:],
    )  # fmt: skip
    train(replace(shared, test=fewer), [spec(observed, tmp_path / "run")])
    assert RunFolder(tmp_path / "run").predictions()["logits"].shape == (3, 11, 4)


def test_an_infinite_loss_names_the_step_and_keeps_the_last_checkpoint(
    tmp_path, shared, observed, monkeypatch
):
    """From the second step of the second epoch on the weights are NaN."""
    real = TrainingRun.train_step

    def step(run, features, rows):
        real(run, features * torch.nan if (run.epoch, run.step) == (1, 1) else features, rows)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "train_step", step)
        message = r"satl known-0.50: .*not finite at step 2 of 4 in epoch 2.*learning_rate"
        with pytest.raises(UserError, match=message):
            train(shared, [spec(observed, tmp_path / "run")])
    assert not (tmp_path / "run").exists()
    done = stop_before_step(monkeypatch, None)
    train(shared, [spec(observed, tmp_path / "run")])
    assert done[0] == (1, 0), "the checkpoint of the first epoch is good"


def test_a_diverged_run_does_not_stop_the_others(tmp_path, shared, observed, monkeypatch):
    runs = [spec(observed, tmp_path / name, name) for name in ("satl", "partial_bce")]
    train(apart(shared), [replace(runs[1], folder=tmp_path / "alone")])
    real = TrainingRun.train_step

    def step(run, features, rows):
        real(run, features * torch.nan if run.name.startswith("satl") else features, rows)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "train_step", step)
        with pytest.raises(
            UserError, match=r"^satl known-0.50: the loss .* is not finite at step 1"
        ):
            train(shared, runs)
    assert not (tmp_path / "satl").exists()
    same_numbers(tmp_path / "partial_bce", tmp_path / "alone")
    done = stop_before_step(monkeypatch, None)
    train(shared, runs)
    assert len(done) == 3 * STEPS, "partial_bce is not trained again"


CONFIG = """
name: x
datasets: {d: {format: glyphs}}
methods: {satl: , sarb: }
known_ratios: [0.5]
model: {backbone: tiny, weights: random, feature_dim: 12, attention_dim: 6}
training: {epochs: 12, batch_size: 5, resize: 18, image_size: 16, workers: 0}
"""
# Forked from a process that has imported torch: most of the time of a start is spent on that.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["satl.cli", "satl.training.engine"])


def run_command(folder, arguments, log):
    """`satl` in a process of its own, with a checkpoint after every step, and steps that last."""
    os.chdir(folder)
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    trainer.CHECKPOINT_SECONDS = 0
    real = TrainingRun.train_step

    def step(run, *arguments):
        time.sleep(0.03)
        real(run, *arguments)

    TrainingRun.train_step = step
    sys.exit(cli.main(arguments))


@pytest.mark.slow
@pytest.mark.long
def test_a_dozen_kills_at_random_moments_change_nothing(tmp_path, shared, observed, weights):
    """SIGKILL and now and then SIGTERM, two runs at once, until the job gets through."""
    observed.save(tmp_path / "observed.npz")
    shared.test.save(tmp_path / "test.npz")
    (tmp_path / "x.yaml").write_text(CONFIG)
    log = tmp_path / "log"

    def start(out, store):
        arguments = [
            "train", "--config", "x.yaml", "--dataset", "d", "--test-images", "test.npz",
            "--weights", str(weights), "--store", store, "--device", "cpu",
            "--run", "satl", "observed.npz", f"{out}/satl",
            "--run", "sarb", "observed.npz", f"{out}/sarb",
        ]  # fmt: skip
        log.unlink(missing_ok=True)
        process = PROCESSES.Process(target=run_command, args=(tmp_path, arguments, log))
        process.start()
        return process

    def trains():
        return log.is_file() and re.search(r"epoch \d+/12", log.read_text())

    whole = start("whole", "c1")
    whole.join(200)
    assert whole.exitcode == 0, log.read_text()
    moments, kills, resumed = random.Random(0), 0, 0
    while True:
        process = start("run", "c2")
        while kills < 12 and process.is_alive() and not trains():
            time.sleep(0.02)
        if kills < 12:
            # Some 1.3 s in all; the steps of a training, without their checkpoints, take 2.9 s.
            time.sleep(moments.uniform(0, 0.2))
            assert process.is_alive(), f"ended after {kills} of 12 kills"
            os.kill(process.pid, signal.SIGTERM if kills % 4 == 3 else signal.SIGKILL)
            kills += 1
        process.join(200)
        said = log.read_text()
        resumed += "resuming after epoch" in said
        if process.exitcode == 0:
            break
        # -SIGTERM: the training was done, and only Python's own exit was cut.
        assert process.exitcode in (-signal.SIGKILL, 143, -signal.SIGTERM), said
    assert kills == 12
    assert resumed >= 8
    same_numbers(tmp_path / "whole/satl", tmp_path / "run/satl")
    same_numbers(tmp_path / "whole/sarb", tmp_path / "run/sarb")
