"""Weights that a run keeps: of which epoch, whatever happens, and without another number."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from trials import TRAINING, Interrupted, apart, same_numbers, spec, stop_before_step

from satl.config import parse
from satl.core.errors import UserError
from satl.data.formats.base import DatasetSize
from satl.data.holdout import hold_out
from satl.data.splits import split
from satl.decisions import f1_thresholds
from satl.estimate.weights import all_weights_bytes
from satl.evaluation.evaluate import evaluate
from satl.methods.registry import checked_methods
from satl.metrics import known_mean_ap
from satl.runs.folder import RunFolder
from satl.runs.model_facts import read_facts
from satl.training.best_weights import BestWeights
from satl.training.engine import train
from satl.training.run import TrainingRun


def keeping(shared, what, validation=None):
    training = shared.training.model_copy(update={"keep_weights": what, "epochs": 4})
    return replace(shared, training=training, validation=validation)


@pytest.fixture
def parts(train_table):
    """Known labels in training and held out, and the full labels of the former."""
    kept, held_out = hold_out(train_table, 0.25)
    return split(kept, 0.5), split(held_out, 0.5), kept


def facts(folder):
    return read_facts(folder / "model.safetensors")


def weights(folder):
    with safe_open(folder / "model.safetensors", framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_without_the_key_there_is_no_file_and_with_it_no_other_number(tmp_path, shared, observed):
    train(keeping(shared, None), [spec(observed, tmp_path / "without")])
    train(keeping(apart(shared), "last"), [spec(observed, tmp_path / "with")])
    assert not (tmp_path / "without/model.safetensors").exists()
    assert any(name.startswith("frozen.") for name in weights(tmp_path / "with"))
    same_numbers(tmp_path / "without", tmp_path / "with")
    fingerprints = [RunFolder(tmp_path / name).run()["fingerprint"] for name in ("with", "without")]
    assert fingerprints[0] == fingerprints[1]


def test_the_best_epoch_is_that_of_the_known_labels_held_out(tmp_path, shared, parts):
    observed, held_out, _ = parts
    both = keeping(shared, "best_on_validation", held_out.without_labels())
    train(both, [replace(spec(observed, tmp_path / "run"), held_out=held_out)])
    logits = RunFolder(tmp_path / "run").predictions()["validation_logits"]
    scores = [known_mean_ap(epoch, held_out.labels) for epoch in logits]
    best = int(np.argmax(scores))
    found = facts(tmp_path / "run")
    assert found["epoch"] == best + 1
    assert found["thresholds"] == f1_thresholds(logits[best], held_out.labels).logits.tolist()
    assert found["chosen_on"] == "held-out images"


def test_thresholds_are_chosen_on_training_images_where_none_are_held_out(
    tmp_path, shared, observed
):
    train(keeping(shared, "last"), [spec(observed, tmp_path / "run")])
    logits = RunFolder(tmp_path / "run").training_scores()["logits"]
    assert np.isnan(logits).any(), "the last batch is left out"
    found = facts(tmp_path / "run")
    assert found["thresholds"] == f1_thresholds(logits, observed.labels).logits.tolist()
    assert (found["epoch"], found["chosen_on"]) == (4, "training images")


@pytest.mark.parametrize(
    ("scores", "chosen"), [([1, 3, 3, 2], 2), ([np.nan] * 3, 3), ([2, 1], 1), ([1, 2, 3], 3)]
)
def test_the_first_best_counts_and_the_last_where_no_map_is_defined(monkeypatch, scores, chosen):
    model, best = torch.nn.Linear(1, 1), BestWeights(np.zeros((1, 1)))
    for epoch, score in enumerate(scores, 1):
        monkeypatch.setattr("satl.training.best_weights.known_mean_ap", lambda *_, s=score: s)
        torch.nn.init.constant_(model.bias, epoch)
        best.consider(epoch, model, np.zeros((1, 1)))
    assert best.epoch == chosen
    assert best.weights["bias"].item() == chosen


@pytest.mark.usefixtures("every_epoch_saves")
def test_a_resumed_run_keeps_the_same_weights(tmp_path, shared, parts, monkeypatch):
    observed, held_out, _ = parts
    both = keeping(shared, "best_on_validation", held_out.without_labels())
    # No epoch is better than the first: its weights have to outlive the interruption.
    monkeypatch.setattr("satl.training.best_weights.known_mean_ap", lambda *_: 0.5)
    run = replace(spec(observed, tmp_path / "run"), held_out=held_out)
    train(apart(both), [replace(run, folder=tmp_path / "whole")])
    assert facts(tmp_path / "whole")["epoch"] == 1
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        done = stop_before_step(patch, 10)
        train(both, [run])
    assert done[-1] == (2, 2), "three epochs of three steps"
    train(both, [run])
    assert facts(tmp_path / "run") == facts(tmp_path / "whole")
    first, second = weights(tmp_path / "run"), weights(tmp_path / "whole")
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_run_is_trained_again_only_for_weights_that_it_lacks(
    tmp_path, shared, parts, train_table, monkeypatch
):
    observed, held_out, _ = parts
    images = held_out.without_labels()
    run = replace(spec(observed, tmp_path / "run"), held_out=held_out)
    trained = []
    real = TrainingRun.end_epoch

    def end_epoch(self, *arguments):
        trained.append(self.epoch)
        real(self, *arguments)

    monkeypatch.setattr(TrainingRun, "end_epoch", end_epoch)

    def trains(what, run=run):
        trained.clear()
        train(keeping(shared, what, images), [run])
        return len(trained) == 4

    assert trains(None)
    assert trains("last")
    assert not trains("last")
    assert not trains(None)
    assert (tmp_path / "run/model.safetensors").exists()
    assert trains("best_on_validation")
    others = split(hold_out(train_table, 0.25)[1], 0.9)
    assert trains("best_on_validation", replace(run, held_out=others)), "other labels choose"


def test_labels_of_images_held_out_must_be_theirs(tmp_path, shared, parts):
    observed, held_out, _ = parts
    run = spec(observed, tmp_path / "run")
    best = keeping(shared, "best_on_validation", held_out.without_labels())
    with pytest.raises(UserError, match="give --validation-labels"):
        train(best, [run])
    with pytest.raises(UserError, match="--validation-labels are of other images"):
        train(best, [replace(run, held_out=observed)])


def test_evaluation_takes_them_along_and_leaves_no_others(tmp_path, shared, parts, test_table):
    observed, _, complete = parts
    train(keeping(shared, "last"), [spec(observed, tmp_path / "kept")])
    train(shared, [spec(observed, tmp_path / "plain", ranking_weight=0.0)])
    out = tmp_path / "out"
    evaluate(tmp_path / "kept", observed, complete, test_table, out, 10)
    assert facts(out) == facts(tmp_path / "kept")
    evaluate(tmp_path / "plain", observed, complete, test_table, out, 10)
    assert not (out / "model.safetensors").exists()


def test_its_size_is_estimated(tmp_path, shared, observed):
    config = {
        "name": "x",
        "datasets": {"d": {"format": "glyphs"}},
        "methods": {"sst": {}},
        "known_ratios": [0.5],
        "model": {"backbone": "tiny", "weights": "random", "feature_dim": 12, "attention_dim": 6},
        "training": {"keep_weights": "last"},
    }
    experiment = parse(config, "x.yaml")
    train(keeping(shared, "last"), [spec(observed, tmp_path / "run", "sst")])
    size = (tmp_path / "run/model.safetensors").stat().st_size
    methods, sizes = checked_methods(experiment), {"d": DatasetSize(24, 12, 4)}
    # What is not counted are the facts and the names of tensors.
    assert 0 < size - all_weights_bytes(experiment, methods, sizes) < 20_000 < size / 20


def test_the_facts_are_complete(tmp_path, shared, observed):
    train(keeping(shared, "last"), [spec(observed, tmp_path / "run", q=0.9)])
    found = facts(tmp_path / "run")
    assert found["categories"] == list(observed.categories)
    assert (found["method"], found["options"]["q"]) == ("satl", 0.9)
    assert found["training"]["image_size"] == TRAINING.image_size
    assert found["mean"] == [0.485, 0.456, 0.406]
    assert found["chosen"] == [True] * 4
    assert json.dumps(found)
