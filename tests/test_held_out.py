"""Images held out of training: which they are, what is predicted of them, what they choose."""

from dataclasses import replace

import numpy as np
import pytest
from trials import apart, spec

from satl.core.errors import UserError
from satl.data.holdout import hold_out
from satl.data.splits import split
from satl.evaluation.evaluate import evaluate
from satl.evaluation.selections import metrics_by_selection
from satl.metrics import known_mean_ap, mean_ap
from satl.runs.fingerprint import differences
from satl.runs.folder import RunFolder
from satl.training.engine import train


def test_every_image_is_in_one_part_and_the_parts_are_always_the_same(train_table):
    kept, held_out = hold_out(train_table, 0.25)
    names = [*kept.file_names, *held_out.file_names]
    assert len(held_out.file_names) == round(0.25 * len(train_table.file_names))
    assert sorted(names) == sorted(train_table.file_names)
    assert kept.info["validation"] == 0.25
    again = hold_out(train_table, 0.25)[1]
    assert again.file_names == held_out.file_names
    assert held_out.file_names != train_table.file_names[: len(held_out.file_names)]


@pytest.mark.parametrize("share", [0.0001, 0.9999, 1.0])
def test_neither_part_may_be_empty(train_table, share):
    with pytest.raises(UserError, match="choose another `validation`"):
        hold_out(train_table, share)


def test_known_labels_alone_count():
    scores = np.array([[3.0, 0], [2, 1], [1, 2], [0, 3]])
    labels = np.array([[1, 0], [0, 0], [-1, 0], [0, -1]])
    assert known_mean_ap(scores, labels) == 1
    labels[1, 0] = -1  # still below the positive
    labels[3, 0] = 1  # last of four: precision 2 / 4
    assert known_mean_ap(scores, labels) == pytest.approx((1 + 2 / 4) / 2)
    assert np.isnan(known_mean_ap(scores, -np.abs(labels)))


def test_the_first_best_epoch_is_chosen_and_judged_on_the_test_images(test_table):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, *test_table.labels.shape))
    test = [mean_ap(epoch, test_table.labels) for epoch in logits]
    courses = {"test": test, "validation": [0.2, 0.5, 0.5]}
    by_epoch = dict(enumerate(logits, 1))
    found = metrics_by_selection(by_epoch, test_table, courses)["selections"]
    assert list(found) == ["last", "best_on_validation", "best_on_test"]
    assert found["best_on_validation"]["epoch"] == 2
    again = metrics_by_selection(by_epoch, test_table, {"test": test[:2]})["selections"]
    assert "best_on_validation" not in again
    assert found["best_on_validation"] == again["last"]


@pytest.fixture
def parts(train_table):
    """Labels that are seen, in training and held out, and the full labels of both."""
    kept, held_out = hold_out(train_table, 0.25)
    return split(kept, 0.5), split(held_out, 0.5), kept


def test_a_run_predicts_them_and_evaluation_needs_their_known_labels(
    parts, shared, test_table, tmp_path
):
    observed, held_out, complete = parts
    both = replace(shared, validation=held_out.without_labels())
    train(both, [spec(observed, tmp_path / "a")])
    train(apart(shared), [spec(observed, tmp_path / "b")])
    with_them, without = (RunFolder(tmp_path / name) for name in "ab")
    predicted = with_them.predictions()
    assert np.array_equal(predicted["logits"], without.predictions()["logits"])
    assert predicted["validation_logits"].shape[1] == len(held_out.file_names)
    assert np.array_equal(predicted["validation_image_ids"], held_out.image_ids)
    first, second = (run.run()["fingerprint"] for run in (without, with_them))
    assert any("validation_images" in line for line in differences(first, second))

    arguments = (observed, complete, test_table, tmp_path / "out", 10)
    with pytest.raises(UserError, match="give their --validation"):
        evaluate(with_them.path, *arguments)
    with pytest.raises(UserError, match="other held-out images"):
        evaluate(with_them.path, *arguments, validation=observed)
    with pytest.raises(UserError, match="other held-out images"):
        evaluate(without.path, *arguments, validation=held_out)
    evaluate(with_them.path, *arguments, validation=held_out)
    metrics = RunFolder(tmp_path / "out").metrics()
    scores = [line["validation_mAP"] for line in metrics["epochs"]]
    assert metrics["selections"]["best_on_validation"]["epoch"] == 1 + int(np.argmax(scores))
