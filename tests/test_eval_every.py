"""`training.eval_every`: epochs without an evaluation, in training, selection and reports."""

import json
from dataclasses import replace

import numpy as np
import pytest
from trials import Interrupted, apart, spec, stop_before_step

from satl.config import Training
from satl.data.holdout import hold_out
from satl.data.splits import split
from satl.evaluation.evaluate import evaluate
from satl.runs.folder import RunFolder
from satl.runs.model_facts import read_facts
from satl.training.engine import train

EPOCHS, EVERY, EVALUATED = 6, 2, [2, 4, 6]


def evaluating(shared, every, **training):
    update = {"epochs": EPOCHS, "eval_every": every, **training}
    return replace(shared, training=shared.training.model_copy(update=update))


@pytest.mark.parametrize(
    ("epochs", "every", "evaluated"),
    [(6, 1, [1, 2, 3, 4, 5, 6]), (6, 2, [2, 4, 6]), (7, 3, [1, 4, 7]), (5, 3, [2, 5]), (2, 9, [2])],
)
def test_evaluations_are_counted_back_from_the_last_epoch(epochs, every, evaluated):
    training = Training(epochs=epochs, eval_every=every)
    assert [epoch for epoch in range(1, epochs + 1) if training.evaluates(epoch)] == evaluated
    assert training.evaluations == len(evaluated)


@pytest.mark.usefixtures("every_epoch_saves")
def test_the_same_training_with_fewer_predictions(tmp_path, shared, observed, monkeypatch):
    train(evaluating(apart(shared), 1), [spec(observed, tmp_path / "all")])
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        done = stop_before_step(patch, 13)
        train(evaluating(shared, EVERY), [spec(observed, tmp_path / "some")])
    assert done[-1] == (2, 3), "three epochs of four steps"
    train(evaluating(shared, EVERY), [spec(observed, tmp_path / "some")])  # resumes in between
    every, some = RunFolder(tmp_path / "all"), RunFolder(tmp_path / "some")
    assert some.predictions()["epochs"].tolist() == EVALUATED
    kept = every.predictions()["logits"][np.array(EVALUATED) - 1]
    assert np.array_equal(some.predictions()["logits"], kept)
    for name, values in every.training_scores().items():
        np.testing.assert_array_equal(some.training_scores()[name], values)


def test_an_epoch_without_evaluation_has_no_map_and_is_not_selected(
    tmp_path, shared, train_table, test_table
):
    kept, held_out = hold_out(train_table, 0.25)
    observed, known = split(kept, 0.5), split(held_out, 0.5)
    both = evaluating(shared, EVERY, keep_weights="best_on_validation")
    both = replace(both, validation=known.without_labels())
    folder = tmp_path / "run"
    train(both, [replace(spec(observed, folder), held_out=known)])
    for _ in range(2):  # a second time from the epochs that the first has kept
        evaluate(folder, observed, kept, test_table, folder, validation=known)
        found = json.loads((folder / "metrics.json").read_text())
        lines = {line["epoch"]: line for line in found["epochs"]}
        assert [*lines] == [*range(1, EPOCHS + 1)]
        for name in ("test_mAP", "validation_mAP"):
            assert [epoch for epoch in lines if lines[epoch][name] is not None] == EVALUATED
        selected = {name: of["epoch"] for name, of in found["selections"].items()}
        assert selected["last"] == EPOCHS
        for part in ("test", "validation"):
            scores = {epoch: lines[epoch][f"{part}_mAP"] for epoch in EVALUATED}
            assert selected[f"best_on_{part}"] == max(scores, key=scores.__getitem__)
    assert read_facts(folder / "model.safetensors")["epoch"] == selected["best_on_validation"]
