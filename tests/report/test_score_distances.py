"""The distance of known and hidden labels' scores, against SciPy's and against its expectation."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from satl.evaluation.histogram import histogram_table, score_counts
from satl.report.plot_distance_dots import distance_dots
from satl.report.score_distances import score_distances
from satl.report.style import house_style


def drawn(shift, known_share, images=4000):
    """Logits, observed and complete labels of two categories; known positives score higher."""
    rng = np.random.default_rng(0)
    complete = rng.choice([-1, 1], (images, 2))
    known = rng.random((images, 2)) < known_share
    logits = rng.normal(complete, 1) + shift * (known & (complete > 0))
    return logits.astype(np.float32), np.where(known, complete, 0), complete


def distances(logits, observed, complete):
    histogram = histogram_table(*score_counts(logits, observed, complete), (0, 1))
    return score_distances(histogram).set_index(["category", "side"])


def test_it_is_scipys_up_to_the_width_of_a_bin():
    logits, observed, complete = drawn(0.7, 0.3)
    found = distances(logits, observed, complete)
    for category in (0, 1):
        positive = complete[:, category] > 0
        known, hidden = (
            logits[positive & ((observed[:, category] != 0) == is_known), category]
            for is_known in (True, False)
        )
        exact = ks_2samp(known, hidden).statistic
        assert found.distance[category, "positive"] == pytest.approx(exact, abs=0.02)
    assert (found.distance > 3 * found.expected).loc[:, "positive"].all()


def test_equal_distributions_show_what_is_expected_of_them():
    found = [distances(*drawn(0, 0.1, images=400 + i)) for i in range(30)]
    mean = np.mean([table.distance.mean() for table in found])
    expected = np.mean([table.expected.mean() for table in found])
    assert mean == pytest.approx(expected, rel=0.15)


def test_categories_with_too_few_labels_are_left_out():
    logits, observed, complete = drawn(0, 0.5, images=200)
    hide = np.flatnonzero((complete[:, 0] > 0) & (observed[:, 0] > 0))[4:]
    observed[hide, 0] = 0  # four known positives are left
    assert (0, "positive") not in distances(logits, observed, complete).index


def test_many_methods_are_rows_the_highest_distance_of_positives_first():
    distances = {"low": 0.2, "high": 0.6, "middle": 0.4}
    rows = [
        {"method": method, "known_ratio": known, "seed": seed, "side": side, "expected": 0.1,
         "distance": distance + 0.02 * seed + (0.3 if known == "single" else 0)}
        for method, distance in distances.items()
        for known in (0.1, 0.2, 0.3, 0.4, 0.9, "single")
        for seed in (0, 1)
        for side in ("positive", "negative")
    ]  # fmt: skip
    with house_style():
        figure = distance_dots(pd.DataFrame(rows))
        positives = figure.axes[0]
        labels = [label.get_text() for label in positives.get_yticklabels()]
    assert labels == ["high", "middle", "low"]
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["10 % known", "30 % known", "90 % known", "single", "if both were alike"]
    means = [dots.lines[0].get_xdata().tolist() for dots in positives.containers]
    assert means[0] == pytest.approx([0.61, 0.21, 0.41]), "means over seeds, by name of method"
    assert means[3] == pytest.approx([0.91, 0.51, 0.71])
