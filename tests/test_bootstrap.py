"""The bootstrap over test images against metrics of images that are really repeated."""

import numpy as np
import pytest

from satl.core.errors import UserError
from satl.evaluation.bootstrap import image_weights, resampled_map, weighted_average_precision
from satl.metrics import average_precision, mean_ap, only_judged


@pytest.fixture
def scored():
    """Scores with many ties, and a category without positives."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(60, 4)).round(1)
    targets = np.where(random.random((60, 4)) < 0.2, 1, -1)
    targets[:, 2] = -1
    return scores, targets


def test_weights_are_repetitions(scored):
    scores, targets = scored
    (weights,) = image_weights(60, 50)
    found = weighted_average_precision(scores, targets, weights)
    for column, counts in enumerate(weights.T.astype(int)):
        again = np.repeat(np.arange(60), counts)
        expected = average_precision(scores[again], targets[again])
        assert found[:, column] == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_each_image_once_is_the_metric_itself(scored):
    found = weighted_average_precision(*scored, np.ones((60, 1)))[:, 0]
    assert found == pytest.approx(average_precision(*scored), abs=1e-6, nan_ok=True)


def test_map_of_a_resample_is_that_of_its_images(scored):
    scores, targets = scored
    found = resampled_map(scores, targets, 130)
    weights = np.concatenate(list(image_weights(60, 130)), axis=1).astype(int)
    again = np.repeat(np.arange(60), weights[:, 117])
    assert found.shape == (130,) and found.dtype == np.float32
    assert found[117] == pytest.approx(mean_ap(scores[again], targets[again]), abs=1e-6)


def test_draws_are_as_many_as_images_and_do_not_depend_on_their_number(scored):
    few, many = (np.concatenate(list(image_weights(30, n)), axis=1) for n in (120, 250))
    assert np.array_equal(few, many[:, :120])
    assert (many.sum(axis=0) == 30).all()
    assert np.array_equal(resampled_map(*scored, 40), resampled_map(*scored, 120)[:40])


def test_without_positives_there_is_no_map():
    assert np.isnan(resampled_map(np.zeros((5, 2)), -np.ones((5, 2)), 10)).all()


def test_one_resample_is_refused():
    with pytest.raises(UserError, match="1 resamples"):
        resampled_map(np.zeros((5, 2)), np.ones((5, 2)), 1)


def test_unknown_entries_count_in_no_resample(scored):
    scores, _ = scored
    labels = np.random.default_rng(3).choice([-1, 0, 1], scores.shape)
    found = resampled_map(only_judged(scores, labels), labels, 3)
    for value, weights in zip(found, next(image_weights(len(scores), 3)).T, strict=True):
        rows = np.repeat(np.arange(len(scores)), weights.astype(int))
        expected = mean_ap(only_judged(scores[rows], labels[rows]), labels[rows])
        assert value == pytest.approx(expected, rel=1e-5)
