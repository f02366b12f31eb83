"""A training job small enough for tests: fixtures and helpers of those that train."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from satl.config import MethodEntry, Model, Training
from satl.methods.registry import checked_method
from satl.models.backbone import initial_weights
from satl.runs.folder import RunFolder
from satl.training import trainer
from satl.training.context import RunSpec, TrainingContext
from satl.training.engine import train
from satl.training.epoch import EpochTimes
from satl.training.run import TrainingRun

TRAINING = Training(
    epochs=3, batch_size=5, learning_rate=3e-3, lr_step=2, resize=18, image_size=16, workers=0,
    image_cache="memory",
)  # fmt: skip
MODEL = Model(backbone="tiny", weights="random", feature_dim=12, attention_dim=6)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "backbone.pt"
    torch.save(initial_weights("tiny", "random"), path)
    return path


@pytest.fixture
def shared(tmp_path, weights, test_table):
    return TrainingContext(
        model=MODEL,
        training=TRAINING,
        test=test_table.without_labels(),
        weights=weights,
        store=tmp_path / "trained",
        device=torch.device("cpu"),
    )


@pytest.fixture
def every_epoch_saves(monkeypatch):
    """A checkpoint after each epoch, however short."""
    monkeypatch.setattr(trainer, "EPOCH_CHECKPOINT_SECONDS", 0)


@pytest.fixture
def kept(tmp_path, shared, observed):
    """Trains a method and gives the folder of the run, which has kept its weights."""

    def run(method="satl", **training):
        changed = shared.training.model_copy(update={"keep_weights": "last", **training})
        folder = tmp_path / f"run-{method}"
        train(replace(shared, training=changed), [spec(observed, folder, method)])
        return folder

    return run


def apart(shared):
    """The same in another store: what is trained there is not used again elsewhere."""
    return replace(shared, store=shared.store.with_name("apart"))


def spec(observed, folder, method="satl", **options):
    checked = checked_method(method, MethodEntry(method=method, options=options))
    return RunSpec("x", "shapes", method, method, *checked, observed, folder)


class Interrupted(Exception):
    pass


def stop_before_step(monkeypatch, number, error=Interrupted):
    """Raise at the start of that training step, counted from 1; gives a list of those done."""
    real, done = TrainingRun.train_step, []

    def step(run, *arguments):
        if len(done) + 1 == number:
            raise error
        done.append((run.epoch, run.step))
        real(run, *arguments)

    monkeypatch.setattr(TrainingRun, "train_step", step)
    return done


def same_numbers(first: Path, second: Path) -> None:
    a, b = RunFolder(first), RunFolder(second)
    for x, y in (
        (a.predictions(), b.predictions()),
        (a.training_scores(), b.training_scores()),
    ):
        assert x.keys() == y.keys()
        for name in x:
            assert np.array_equal(x[name], y[name], equal_nan=x[name].dtype.kind == "f"), name
    assert a.thresholds().equals(b.thresholds())
    times = [*vars(EpochTimes())]
    assert a.epochs().drop(columns=times).equals(b.epochs().drop(columns=times))
