"""Runs that diverge: dropped once, without their siblings, and never saved over a good state."""

import itertools
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from trials import apart, same_numbers, spec

from satl.core.errors import UserError
from satl.training import engine, trainer
from satl.training.checkpoint import Checkpoint
from satl.training.engine import train
from satl.training.run import TrainingRun

STEPS = 4  # per epoch
NAMES = ("satl", "partial_bce", "ranking_only")

pytestmark = pytest.mark.usefixtures("every_epoch_saves")


@pytest.fixture
def specs(tmp_path, observed):
    return [spec(observed, tmp_path / name, name) for name in NAMES]


def poisoned(monkeypatch, where):
    """Make weights of a run NaN after (epoch, step), by the run's name; gives the steps done."""
    real, done = TrainingRun.train_step, []

    def step(run, *arguments):
        done.append((run.name.split()[0], run.epoch, run.step))
        real(run, *arguments)
        if where.get(done[-1][0]) == done[-1][1:]:
            with torch.no_grad():
                next(run.model.parameters()).fill_(torch.nan)

    monkeypatch.setattr(TrainingRun, "train_step", step)
    return done


LAST = STEPS - 1
MOMENTS = [None, (1, 1), (1, LAST), (2, LAST)]


@pytest.mark.parametrize("checkpoints", ["each pause", "each epoch"])
@pytest.mark.parametrize("moments", [*itertools.combinations(MOMENTS, 2)])
def test_whenever_runs_diverge_they_are_dropped_once_and_alone(
    tmp_path, shared, specs, monkeypatch, moments, checkpoints
):
    """Two runs that diverge in any order, or one; beside a third that must not notice."""
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0 if checkpoints == "each pause" else 600)
    monkeypatch.setattr(trainer, "STEPS_BETWEEN_CHECKS", 2)
    train(apart(shared), [replace(specs[2], folder=tmp_path / "alone")])
    where = {name: moment for name, moment in zip(NAMES, moments, strict=False) if moment}
    with monkeypatch.context() as patch:
        poisoned(patch, where)
        with pytest.raises(UserError) as failure:
            train(shared, specs)
    messages = str(failure.value).splitlines()
    assert sorted(line.split()[0] for line in messages) == sorted(where)
    assert all("not finite" in line for line in messages)
    same_numbers(tmp_path / "alone", tmp_path / "ranking_only")
    assert not any((tmp_path / name).exists() for name in where)
    train(shared, specs)
    for name in where:
        assert np.isfinite(np.load(tmp_path / name / "predictions.npz")["logits"]).all()


def test_a_job_without_a_healthy_run_stops_at_once(tmp_path, shared, specs, monkeypatch):
    monkeypatch.setattr(trainer, "STEPS_BETWEEN_CHECKS", 1)
    predicted = []
    monkeypatch.setattr(TrainingRun, "predict", lambda run, _: predicted.append(run))
    done = poisoned(monkeypatch, dict.fromkeys(NAMES, (0, 0)))
    with pytest.raises(UserError):
        train(shared, specs)
    assert [step[1:] for step in done] == [(0, 0)] * 3 + [(0, 1)] * 3
    assert not predicted


def test_an_infinite_gradient_of_a_finite_loss_is_noticed(tmp_path, shared, specs, monkeypatch):
    real = TrainingRun._update

    def update(run):
        if (run.epoch, run.step) == (1, 2):
            run.trained[0].grad.view(-1)[0] = torch.inf
        real(run)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "_update", update)
        with pytest.raises(UserError, match="the loss or its gradient is not finite at step 2 of"):
            train(shared, specs[:1])
    saved = Checkpoint(next(shared.store.rglob("state.pt")).parent).load(shared.device)
    assert saved["epoch"] == 1
    assert all(torch.isfinite(v).all() for v in saved["model"].values() if v.is_floating_point())


def test_scores_that_are_not_finite_reach_no_run_folder(tmp_path, shared, specs, monkeypatch):
    real = TrainingRun.predict
    monkeypatch.setattr(
        TrainingRun, "predict",
        lambda run, features: real(run, features) * (torch.nan if run.epoch == 2 else 1),
    )  # fmt: skip
    with pytest.raises(UserError, match=r"predicted scores are not finite .* in epoch 3"):
        train(shared, specs[:1])
    assert not (tmp_path / "satl").exists()


def full_disk(path):
    raise UserError(f"{path}: cannot be written (No space left on device)")


def test_a_full_disk_is_a_warning_and_is_tried_again(tmp_path, shared, specs, monkeypatch, capsys):
    train(apart(shared), [replace(run, folder=run.folder.with_suffix(".alone")) for run in specs])
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0)
    real, tries = Checkpoint.save, itertools.count()

    def save(checkpoint, state):
        if 5 <= next(tries) < 20:
            full_disk(checkpoint.path)
        real(checkpoint, state)

    monkeypatch.setattr(Checkpoint, "save", save)
    train(shared, specs)
    assert next(tries) > 20
    assert capsys.readouterr().out.count("no checkpoint for now") == 15
    for run in specs:
        same_numbers(run.folder, run.folder.with_suffix(".alone"))


def no_space_for_the_folder_of_satl(patch):
    real = engine.write_run_folder

    def write(folder, run, *rest):
        if run.variant == "satl":
            full_disk(folder)
        real(folder, run, *rest)

    patch.setattr(engine, "write_run_folder", write)


def test_a_run_folder_that_cannot_be_written_leaves_its_checkpoint_and_the_others(
    tmp_path, shared, specs, monkeypatch
):
    with monkeypatch.context() as patch:
        no_space_for_the_folder_of_satl(patch)
        with pytest.raises(UserError, match="No space left"):
            train(shared, specs)
    assert (tmp_path / "partial_bce/run.json").is_file()
    assert not (tmp_path / "satl").exists()
    done = poisoned(monkeypatch, {})
    train(shared, specs)
    assert (tmp_path / "satl/run.json").is_file()
    assert not done, "nothing is trained again"


def test_a_full_disk_at_the_end_leaves_the_other_runs_their_folders(
    tmp_path, shared, specs, monkeypatch, capsys
):
    """Neither the folder nor the last checkpoint of a run finds space; what is freed goes on."""
    with monkeypatch.context() as patch:
        no_space_for_the_folder_of_satl(patch)
        patch.setattr(Checkpoint, "save", lambda checkpoint, _: full_disk(checkpoint.path))
        with pytest.raises(UserError, match="No space left"):
            train(shared, specs)
    assert "satl known-0.50: no checkpoint for now" in capsys.readouterr().out
    assert (tmp_path / "partial_bce/run.json").is_file()
    train(shared, specs)
    assert (tmp_path / "satl/run.json").is_file()


def test_a_checkpoint_too_large_for_the_disk_is_a_user_error(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run")
    checkpoint.save({"weights": torch.ones(3)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        with pytest.raises(UserError, match=r"state\.pt: cannot be written"):
            checkpoint.save({"weights": torch.ones(10**5)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoint.load(torch.device("cpu"))["weights"].tolist() == [1, 1, 1]
    assert [path.name for path in checkpoint.folder.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("where", ["train_step", "predict"])
def test_out_of_memory_saves_the_others_and_says_what_to_lower(
    tmp_path, shared, specs, monkeypatch, where
):
    train(apart(shared), [replace(run, folder=run.folder.with_suffix(".alone")) for run in specs])
    real = getattr(TrainingRun, where)

    def exhausted(run, *arguments):
        if run.epoch == 1 and run.step in (2, STEPS) and run.name.startswith("partial_bce"):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(run, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, where, exhausted)
        with pytest.raises(UserError, match=r"Tried to allocate 2 GiB\). Lower runs_per_job"):
            train(shared, specs)
    done = poisoned(monkeypatch, {})
    train(shared, specs)
    assert done[0][1] >= 1, "the first epoch is kept"
    for run in specs:
        same_numbers(run.folder, run.folder.with_suffix(".alone"))
