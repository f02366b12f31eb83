"""Thresholds of decisions: the highest F1 on known labels, found by trying all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from satl.decisions import f1_thresholds


def thresholds(scores, labels):
    return f1_thresholds(np.array(scores, dtype=np.float32)[:, None], np.array(labels)[:, None])


def test_between_positives_and_negatives_that_are_apart():
    found = thresholds([5, 4, 1, 0], [1, 1, -1, -1])
    assert found.logits == [2.5] and found.chosen == [True]


def test_unknown_labels_and_entries_without_a_score_do_not_count():
    found = thresholds([5, 4, 3, 1, 0, np.nan], [1, 0, 0, -1, -1, 1])
    assert found.logits == [3]


def test_of_equally_good_ones_the_highest():
    # From 9 on: precision 1, recall 1/2; from 0 on: precision 1/2, recall 1.
    assert thresholds([9, 3, 2, 0], [1, -1, -1, 1]).logits == [6]


@pytest.mark.parametrize("labels", [[0, 0, 0], [-1, 0, -1], [1, 0, 1]])
def test_without_a_known_positive_or_negative_it_is_probability_one_half(labels):
    found = thresholds([1, 2, 3], labels)
    assert found.logits == [0] and found.chosen == [False]


@given(st.lists(st.tuples(st.integers(-5, 5), st.sampled_from([-1, 1])), min_size=2, max_size=12))
def test_no_other_threshold_is_better(entries):
    scores, labels = (np.array(column) for column in zip(*entries, strict=True))
    found = thresholds(scores, labels)
    if not found.chosen[0]:
        return
    tried = [f1_score(labels > 0, scores >= t) for t in np.arange(-5.5, 6)]
    assert f1_score(labels > 0, scores >= found.logits[0]) == pytest.approx(max(tried))
