"""Intervals and tests, tried on simulated benchmarks whose true differences are known."""

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from satl.evaluation.bootstrap import image_weights, resampled_map
from satl.metrics import mean_ap
from satl.report.inference import (
    difference,
    holm,
    image_variance,
    interval_half,
    p_value,
    training_variance,
)
from satl.report.statistics import Scores, compared, equal_to_best

IMAGES, RESAMPLES = 200, 400
WEIGHTS = np.concatenate(list(image_weights(IMAGES, RESAMPLES)), axis=1) / IMAGES


def simulated(random, seeds, shared, own, training):
    """Differences of a mean over images, by seed at one ratio, and under resampled images.

    Args:
        shared, own: standard deviations over images of what all seeds share, and of the rest.
        training: standard deviation over seeds; the true difference is 1.
    """
    images = random.normal(0, shared, (IMAGES, 1)) + random.normal(0, own, (IMAGES, seeds))
    effects = 1 + images + random.normal(0, training, seeds)
    return effects.mean(axis=0)[:, None], (WEIGHTS.T @ effects).T


REGIMES = {
    "images alone": (10, 1, 0.0),
    "mostly images": (10, 5, 0.3),
    "both": (8, 8, 0.6),
    "mostly trainings": (3, 3, 1.0),
    "trainings alone": (1, 1, 1.0),
}


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("regime", REGIMES)
def test_intervals_cover_the_true_difference(regime, seeds):
    """95 ± 2 %; with 2,000 benchmarks, the share observed has a standard error of 0.5 %."""
    random = np.random.default_rng(seeds)
    found = [difference(*simulated(random, seeds, *REGIMES[regime])) for _ in range(2000)]
    covered = np.mean([one.low <= 1 <= one.high for one in found])
    assert 0.93 <= covered <= 0.97


def test_resampling_seeds_would_be_too_confident():
    """Why seeds are not resampled: of three seeds, intervals would cover far less than 95 %."""
    random, covered = np.random.default_rng(0), []
    for _ in range(500):
        _, resampled = simulated(random, 3, *REGIMES["mostly trainings"])
        drawn = random.integers(3, size=(RESAMPLES, 3))
        means = resampled[drawn, np.arange(RESAMPLES)[:, None]].mean(axis=1)
        low, high = np.percentile(means, [2.5, 97.5])
        covered.append(low <= 1 <= high)
    assert np.mean(covered) < 0.85


@pytest.mark.parametrize("regime", REGIMES)
def test_the_test_keeps_its_level_where_holm_looks(regime):
    """At 0.05 / 6, the strictest level among six comparisons, with three seeds."""
    random = np.random.default_rng(1)
    level, found = 0.05 / 6, []
    for _ in range(2000):
        values, resampled = simulated(random, 3, *REGIMES[regime])
        found.append(difference(values - 1, resampled - 1).p)
    expected = level * len(found)
    assert np.sum(np.array(found) < level) <= expected + 3 * np.sqrt(expected)


def simulated_benchmark(random, gains, seeds=3, images=120, categories=3):
    """Scores of methods whose trainings and test images vary; `gains` separate the classes."""
    targets = random.random((images, categories)) < 0.3
    difficulty = random.normal(0, 1, (images, categories))
    values, resampled = {}, {}
    for method, gain in gains.items():
        for seed in range(seeds):
            skill = 1.5 + gain + random.normal(0, 0.06)
            noise = difficulty + random.normal(0, 0.7, targets.shape)
            scores = skill * targets + noise
            values[method, 0.1, seed] = 100 * mean_ap(scores, targets)
            resampled[method, 0.1, seed] = 100 * resampled_map(scores, targets, 200)
    return Scores(values, resampled)


def test_equal_methods_have_no_winner():
    """Of benchmarks of seven equal methods, at most 5 % name any that is better or worse."""
    random = np.random.default_rng(2)
    methods = [f"m{i}" for i in range(7)]
    claimed, winners = 0, 0
    for _ in range(150):
        scores = simulated_benchmark(random, dict.fromkeys(methods, 0.0))
        rows = compared(scores, methods, "m0", [0.1]).rows
        claimed += any(row.adjusted < 0.05 for row in rows)
        means = {m: np.mean([scores.values[m, 0.1, s] for s in range(3)]) for m in methods}
        winners += equal_to_best(scores, methods, max(means, key=means.get), [0.1]) != set(methods)
    assert claimed <= 0.05 * 150
    assert winners <= 0.05 * 150


def test_a_large_difference_is_found():
    random = np.random.default_rng(6)
    gains = {"good": 3.0, "plain": 0.0, "same": 0.0}
    scores = simulated_benchmark(random, gains, seeds=5)
    rows = {row.method: row for row in compared(scores, list(gains), "plain", [0.1]).rows}
    assert rows["good"].adjusted < 0.01 < 0.05 < rows["same"].adjusted
    assert rows["good"].difference.low > 0
    assert equal_to_best(scores, list(gains), "good", [0.1]) == {"good"}
    assert equal_to_best(scores, ["plain", "same"], "same", [0.1]) == {"plain", "same"}


def test_without_variation_of_images_it_is_students_t():
    values = np.array([1.0, 2.0, 4.0])
    expected = ttest_1samp(values, 0)
    assert p_value(values.mean(), 0, values.var(ddof=1) / 3, 2) == pytest.approx(
        expected.pvalue, rel=1e-3
    )
    low, high = expected.confidence_interval()
    assert interval_half(0, values.var(ddof=1) / 3, 2) == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("free", [1, 2, 5, 18, 100])
def test_small_p_values_are_exact(free):
    """Corrections for hundreds of tests look as far out as that."""
    for p in (0.5, 0.05, 1e-3, 1e-5, 1e-6):
        assert p_value(t.isf(p / 2, free), 0, 1, free) == pytest.approx(p, rel=1e-3)


def test_parts_of_the_variance():
    random = np.random.default_rng(4)
    shared = random.normal(0, 2, 50_000)
    resampled = np.stack([shared + random.normal(0, 1, 50_000) for _ in range(3)])
    assert image_variance(resampled) == pytest.approx(4, rel=0.05)
    assert training_variance(np.array([[0.0], [1.0], [2.0]])) == (pytest.approx(1 / 3), 2)


def simulated_trainings(random, seeds, ratios, common):
    """(S, K) differences by training whose deviation falls with the ratio; the true one is 0.

    `common`: by what factor seeds differ more than separate trainings at K ratios would.
    """
    deviations = np.linspace(3, 0.3, ratios)
    seed = random.normal(0, np.sqrt((common - 1) * (deviations**2).mean() / ratios), (seeds, 1))
    return random.normal(0, deviations, (seeds, ratios)) + seed


@pytest.mark.parametrize("ratios", [3, 9])
@pytest.mark.parametrize("common", [1.0, 1.5])
def test_known_ratios_count_as_separate_trainings(ratios, common):
    """At 0.05 / 6, with three seeds, also where seeds have something in common."""
    random, nothing = np.random.default_rng(5), np.zeros((3, 9))
    level, found = 0.05 / 6, []
    for _ in range(2000):
        values = simulated_trainings(random, 3, ratios, common)
        found.append(difference(values, nothing))
    expected = level * len(found)
    assert np.sum([one.p < level for one in found]) <= expected + 3 * np.sqrt(expected)
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert 0.94 <= covered <= 0.985


def test_several_ratios_find_what_their_mean_cannot():
    """Nine ratios have up to nine times the degrees of freedom of their means by seed."""
    random = np.random.default_rng(6)
    values = 2 + simulated_trainings(random, 3, 9, 1.0)
    assert difference(values, np.zeros((3, 9))).p < 0.05 / 6
    assert difference(values.mean(axis=1, keepdims=True), np.zeros((3, 9))).p > 0.05 / 6


def test_what_seeds_have_in_common_counts():
    """Ratios that all move with the seed are no separate trainings."""
    values = np.array([[0.0], [1.0], [2.0]]) + np.zeros((3, 9))
    assert training_variance(values)[0] == pytest.approx(1 / 3)


def test_degrees_of_freedom_are_those_of_the_ratios_that_vary():
    even = np.array([[0.0, 1.0, 2.0], [1.0, 2.0, 0.0], [2.0, 0.0, 1.0]])
    assert training_variance(even)[1] == 6
    assert training_variance(even * [1, 0, 0])[1] == 2
    assert training_variance(np.zeros((3, 4))) == (0.0, 2)


def test_one_seed_or_no_resamples_make_no_claim():
    for one in (difference([[1.5]], np.ones((1, 9))), difference([[1.0], [2.0]], None)):
        assert one.mean == 1.5
        assert np.isnan([one.low, one.high, one.p]).all()
    assert np.isnan(difference([], None).mean)


def test_equal_runs_do_not_differ():
    one = difference([[0.0], [0.0]], np.zeros((2, 9)))
    assert (one.low, one.high, one.p) == (0, 0, 1)


def test_holm():
    # The example of Holm (1979) by hand: 4 * 0.01, 3 * 0.015 ..., and never falling.
    assert holm([0.01, 0.04, 0.03, 0.015]) == pytest.approx([0.04, 0.06, 0.06, 0.045])
    assert holm([0.5, np.nan, 0.6])[[0, 2]] == pytest.approx([1, 1])
    assert np.isnan(holm([0.5, np.nan])[1])
