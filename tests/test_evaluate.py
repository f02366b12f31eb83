from pathlib import Path

import numpy as np
import pytest

from satl.core.errors import UserError
from satl.core.labels import UNKNOWN
from satl.data.table import LabelTable
from satl.evaluation.evaluate import _check_finite, epoch_lines, judged_entries
from satl.evaluation.histogram import histogram_table, score_counts
from satl.evaluation.pseudo_quality import pseudo_quality
from satl.evaluation.selections import metrics_by_selection
from satl.metrics import mean_ap


def table(labels):
    labels = np.asarray(labels, dtype=np.int8)
    n, c = labels.shape
    names = tuple(f"{i}.jpg" for i in range(n))
    return LabelTable("x", names, np.arange(n), tuple("abcdef"[:c]), labels)


def courses(logits, test):
    return {"test": [mean_ap(epoch, test.labels) for epoch in logits]}


def by_selection(logits, test):
    return metrics_by_selection(dict(enumerate(logits, 1)), test, courses(logits, test))


TEST = table([[1, -1], [-1, -1], [1, -1], [-1, -1]])
GOOD = np.array([[2.0, 0], [-2, 0], [1, 0], [-1, 0]])


def test_selections_last_and_best_epoch():
    logits = np.stack([-GOOD, GOOD, GOOD, -GOOD])
    found = by_selection(logits, TEST)
    assert found["selections"]["last"]["epoch"] == 4
    assert found["selections"]["last"]["mAP"] < 60
    assert found["selections"]["best_on_test"]["epoch"] == 2, "the first of equal epochs"
    assert found["selections"]["best_on_test"]["mAP"] == 100
    assert found["categories_without_positives"] == ["b"]
    assert found["per_category_AP"]["b"] is None


def test_no_positives_at_all_gives_nulls_of_the_last_epoch():
    logits, nothing = np.stack([GOOD, GOOD]), table(-np.ones((4, 2)))
    found = by_selection(logits, nothing)
    assert found["selections"]["best_on_test"]["epoch"] == 2
    assert found["selections"]["last"]["mAP"] is None


def test_quality_of_pseudo_labels_by_epoch():
    train = table([[1, -1], [1, 1]])
    observed = table([[1, UNKNOWN], [UNKNOWN, UNKNOWN]])
    pseudo = np.zeros((2, 2, 2), dtype=np.int8)
    pseudo[1] = [[0, 1], [1, 0]]
    course = courses(np.stack([GOOD, GOOD]), TEST)
    quality = pseudo_quality(pseudo, observed.labels, train.labels)
    first, second = epoch_lines(course, quality)
    assert first == {
        "epoch": 1, "test_mAP": 100, "pseudo_positive_precision": None,
        "pseudo_positive_recall": None, "pseudo_negative_precision": None,
        "pseudo_negative_recall": None, "pseudo_coverage": None,
    }  # fmt: skip
    assert second["pseudo_positive_precision"] == 50
    assert second["pseudo_positive_recall"] == 50
    assert second["pseudo_coverage"] == pytest.approx(66.666667)


def test_histogram_counts_every_label_once_by_kind():
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(50, 3)), rng.choice([-1, 1], size=(50, 3))
    observed = np.where(rng.random((50, 3)) < 0.5, truth, 0)
    logits[7] = np.nan  # an image that the last epoch did not see
    found = histogram_table(*score_counts(logits, observed, truth), ("a", "b", "c"))
    assert found["count"].sum() == 49 * 3
    seen = np.arange(50) != 7
    for kind, where in (
        ("known_positive", observed > 0), ("hidden_negative", (observed == 0) & (truth < 0))
    ):  # fmt: skip
        for category, name in enumerate("abc"):
            chosen = (found["label"] == kind) & (found["category"] == name)
            assert found.loc[chosen, "count"].sum() == where[seen, category].sum()


def test_labels_that_are_judged_are_counted():
    train, test = table([[1, -1], [0, 1]]), table([[1, 0], [-1, -1], [0, 0]])
    observed = table([[1, UNKNOWN], [UNKNOWN, UNKNOWN]])
    assert judged_entries(observed, train, test) == {
        "test_entries": {"judged": 3, "all": 6},
        "hidden_entries": {"judged": 2, "all": 3},
    }


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_named(value):
    logits = {1: GOOD, 2: GOOD.copy(), 3: GOOD}
    _check_finite(Path("run/predictions.npz"), logits)
    logits[2][2, 0] = value
    with pytest.raises(UserError, match=r"run/predictions\.npz: scores of epoch 2 "):
        _check_finite(Path("run/predictions.npz"), logits)
