"""Which labels are known: each kind, and what it records."""

from dataclasses import replace

import numpy as np
import pytest

from satl.core.errors import UserError
from satl.data.objects import ObjectCounter
from satl.data.observe import KINDS
from satl.data.observe.biased import scaled_to_mean
from satl.data.splits import split, uniform_observed
from satl.data.table import LabelTable

SETTINGS = {
    "random": {"known_ratio": 0.3},
    "single_positive": {},
    "per_category": {"positives": 4, "negatives": 9},
    "biased": {"known_ratio": 0.3, "positives": 3},
    "salient": {"by": "size"},
    "as_is": {},
}
each_kind = pytest.mark.parametrize("kind", SETTINGS)


def observation(kind, **options):
    return KINDS[kind].model_validate({**SETTINGS[kind], **options}).with_seed(5)


@pytest.fixture(scope="module")
def table():
    """2000 images, whose categories are rare to common; nobody annotated the last five images."""
    random = np.random.default_rng(0)
    labels = np.where(random.random((2000, 6)) < [0.001, 0.02, 0.1, 0.2, 0.4, 0.6], 1, -1)
    labels[-5:] = 0
    names = tuple(f"{i}.jpg" for i in range(2000))
    counter = ObjectCounter()
    for row, column in np.argwhere(labels > 0).tolist():
        counter.add(row, column, (0, 0, 10, 10), (100, 100), 100)
    code, objects = labels.astype(np.int8), counter.objects()
    return LabelTable("x", names, np.arange(2000), tuple("abcdef"), code, objects=objects)


def test_every_kind_is_tested_here():
    assert SETTINGS.keys() | {"file"} == KINDS.keys(), "file: tests/data/test_masks.py"


@each_kind
def test_nothing_is_known_that_the_table_does_not_say(table, kind):
    observed = observation(kind).observe(table, "mine")
    known = observed.labels != 0
    assert np.array_equal(observed.labels[known], table.labels[known])
    assert observed.info["known_ratio"] == "mine"
    assert observed.info["observe"] == observation(kind).model_dump()
    assert observed.info["realised_known_ratio"] == known.mean()
    assert observed.digest() == observation(kind).observe(table, "other").digest()


@pytest.mark.parametrize("kind", [kind for kind in SETTINGS if kind != "as_is"])
def test_another_seed_is_another_mask(table, kind):
    first, second = (observation(kind, seed=seed).observe(table, "x") for seed in (1, 2))
    assert first.info["mask_sha256"] != second.info["mask_sha256"]


@each_kind
def test_a_split_is_not_split_again(table, kind):
    for hidden in (split(table, 0.5), table.without_labels()):
        with pytest.raises(UserError, match="its labels were hidden here"):
            observation(kind).observe(hidden, "again")


@each_kind
def test_without_positives_nothing_can_be_learnt(table, kind):
    empty = replace(table, labels=-np.abs(table.labels))
    with pytest.raises(UserError, match=f"an empty split: none of 2000 images .*{kind}"):
        observation(kind).observe(empty, "x")


def test_single_positives_are_the_published_ones_whatever_the_mask_seed(table):
    observed = observation("single_positive").observe(table, "x")
    assert np.array_equal(observed.labels, uniform_observed(table.labels, 1, 0, 1200))


def test_labels_per_category_are_as_many_as_asked_for_or_all(table):
    labels = observation("per_category").observe(table, "x").labels
    assert np.array_equal((labels > 0).sum(0), np.minimum((table.labels > 0).sum(0), 4))
    assert ((labels < 0).sum(0) == 9).all()
    assert (table.labels[:, 0] > 0).sum() < 4, "the rare category shows what happens"


def test_without_a_bias_labels_are_known_at_random(table):
    plain = observation("biased", positives=1).observe(table, "x")
    assert np.array_equal(plain.labels, observation("random").observe(table, "x").labels)


def test_positives_are_known_more_often_by_the_factor(table):
    labels, known = table.labels[:-5], observation("biased").mask(table)[:-5]
    assert known.mean() == pytest.approx(0.3, abs=0.01)
    assert known[labels > 0].mean() / known[labels < 0].mean() == pytest.approx(3, rel=0.1)


def test_common_categories_are_known_more_often(table):
    known = observation("biased", positives=1, frequency=0.5).mask(table).mean(0)
    count = (table.labels > 0).sum(0)
    assert known.mean() == pytest.approx(0.3, abs=0.01)
    assert known[4] / known[2] == pytest.approx((count[4] / count[2]) ** 0.5, rel=0.1)


@pytest.mark.parametrize("mean", [0.02, 0.5, 0.97, 1.0])
def test_probabilities_keep_their_mean_and_their_proportions(mean):
    weights = np.random.default_rng(0).lognormal(0, 1.5, (300, 4))
    found = scaled_to_mean(weights, mean)
    assert found.mean() == pytest.approx(mean)
    assert found.max() <= 1
    below = found < 1
    assert np.ptp(found[below] / weights[below]) < 1e-9 if below.any() else mean == 1
    assert weights[~below].min(initial=np.inf) >= weights[below].max(initial=0)
