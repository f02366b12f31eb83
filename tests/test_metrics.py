import numpy as np
import pytest
from conftest import golden
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from satl import metrics


def test_golden_numbers_of_the_published_code():
    g = golden("metrics")
    ap = metrics.average_precision(g["scores"], g["targets"])
    assert ap == pytest.approx(g["average_precision"], abs=1e-6)
    assert metrics.voc2012_map(g["scores"], g["targets"]) == pytest.approx(g["voc2012_map"])
    for top_k, key in ((None, "overall"), (3, "overall_top3")):
        found = metrics.precision_recall_f1(g["scores"], g["targets"], top_k)
        assert list(found) == g["columns"].tolist()
        assert list(found.values()) == pytest.approx(g[key], abs=1e-6)


@pytest.mark.parametrize("levels", [3, 20, 10**6], ids=["many ties", "some ties", "no ties"])
def test_average_precision_agrees_with_scikit_learn(levels):
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, (300, 7)).astype(np.float32)
    targets = rng.random((300, 7)) < np.linspace(0.01, 0.9, 7)
    targets[0] = True
    expected = [average_precision_score(t, s) for t, s in zip(targets.T, scores.T, strict=True)]
    assert metrics.average_precision(scores, targets) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("levels", [3, 10**6], ids=["many ties", "no ties"])
def test_voc2012_is_the_area_under_the_envelope_of_the_whole_curve(levels):
    rng = np.random.default_rng(levels)
    scores, targets = rng.integers(0, levels, (300, 7)), rng.random((300, 7)) < 0.3
    areas = []
    for column in range(7):
        precision, recall, _ = precision_recall_curve(targets[:, column], scores[:, column])
        areas.append(-np.diff(recall) @ np.maximum.accumulate(precision)[:-1])
    assert metrics.voc2012_map(scores, targets) == pytest.approx(np.mean(areas), abs=1e-12)


def test_scores_that_differ_only_in_double_precision_are_no_tie():
    scores = 1 + np.array([[3.0], [2.0], [1.0], [0.0]]) * 1e-12
    assert len(np.unique(scores.astype(np.float32))) == 1
    targets = np.array([[1], [-1], [1], [-1]])
    assert metrics.average_precision(scores, targets) == pytest.approx([(1 + 2 / 3) / 2])


def test_infinities_are_the_ends_and_both_zeros_are_equal():
    scores = np.array([[np.inf, 0.0], [0.5, -0.0], [-np.inf, -1.0]])
    targets = np.array([[1, 1], [-1, -1], [1, -1]])
    found = metrics.average_precision(scores, targets)
    assert found == pytest.approx([(1 + 2 / 3) / 2, 1 / 2])


def test_the_order_of_images_does_not_matter_even_with_ties():
    rng = np.random.default_rng(0)
    scores, targets = rng.integers(0, 4, (50, 3)).astype(float), rng.random((50, 3)) < 0.3
    order = rng.permutation(50)
    for metric in (metrics.mean_ap, metrics.voc2012_map):
        assert metric(scores, targets) == pytest.approx(metric(scores[order], targets[order]))


def test_a_category_without_positives_is_nan_and_left_out_of_the_mean():
    scores = np.array([[2.0, 1.0], [1.0, 2.0]])
    targets = np.array([[1, -1], [-1, -1]])
    ap = metrics.average_precision(scores, targets)
    assert ap[0] == 1
    assert np.isnan(ap[1])
    assert metrics.mean_ap(scores, targets) == 1
    assert metrics.voc2012_map(scores, targets) == 1
    assert np.isnan(metrics.mean_ap(scores, -np.ones((2, 2))))


def partly_known(levels, size=(300, 7)):
    """Scores and targets, a third of them unknown."""
    rng = np.random.default_rng(levels)
    scores = (rng.integers(0, levels, size) / levels * 8 - 4).astype(np.float32)
    targets = np.where(rng.random(size) < 0.3, 1, -1)
    return scores, np.where(rng.random(size) < 1 / 3, 0, targets)


@pytest.mark.parametrize("levels", [3, 20, 10**6], ids=["many ties", "some ties", "no ties"])
def test_auroc_agrees_with_scikit_learn_over_the_known_entries(levels):
    scores, targets = partly_known(levels)
    expected = [
        roc_auc_score(target[target != 0], score[target != 0])
        for score, target in zip(scores.T, targets.T, strict=True)
    ]
    assert metrics.auroc(scores, targets) == pytest.approx(expected, abs=1e-12)


def test_auroc_needs_known_positives_and_negatives():
    scores = np.array([[1.0, 1.0, 1.0, 2.0], [0.0, 0.0, 0.0, 1.0]])
    targets = np.array([[1, 1, -1, -1], [-1, 0, -1, 1]])
    assert metrics.auroc(scores, targets) == pytest.approx([1, np.nan, np.nan, 0], nan_ok=True)
    assert metrics.all_metrics(scores, targets)["AUROC"] == 0.5


def test_calibration_error_agrees_with_scikit_learn_over_the_known_entries():
    scores, targets = partly_known(10**6)
    known = targets != 0
    probability = 1 / (1 + np.exp(-scores[known].astype(float)))
    share, mean = calibration_curve(targets[known] > 0, probability, n_bins=15)
    entries = np.histogram(probability, np.linspace(0, 1, 16))[0]
    expected = np.average(np.abs(share - mean), weights=entries[entries > 0])
    assert metrics.calibration_error(scores, targets) == pytest.approx(expected)


def test_calibration_error_by_hand_and_at_the_ends():
    scores = np.array([[np.inf], [-np.inf], [1000.0], [0.0], [0.0]])
    targets = np.array([[1], [-1], [-1], [1], [1]])
    # The bin of 1 holds a right and a wrong entry; the bin of 1/2 two that are always right.
    assert metrics.calibration_error(scores, targets) == pytest.approx((1 + 2 / 2) / 5)
    assert np.isnan(metrics.calibration_error(scores, np.zeros_like(targets)))


def test_truth_values_are_all_known():
    scores, targets = partly_known(20)
    complete = np.where(targets == 0, -1, targets)
    for metric in (metrics.auroc, metrics.calibration_error):
        assert metric(scores, complete > 0) == pytest.approx(metric(scores, complete))


def test_precision_recall_by_hand():
    scores = np.array([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0]])
    targets = np.array([[1, -1, 1], [1, -1, -1]])
    found = metrics.precision_recall_f1(scores, targets)
    assert found["OP"] == pytest.approx(2 / 3)
    assert found["OR"] == pytest.approx(2 / 3)
    # The middle category has no positives: left out. The last has no predictions: precision 0.
    assert found["CP"] == pytest.approx(0.5)
    assert found["CR"] == pytest.approx(0.5)


def test_top_k_keeps_the_k_highest_of_each_image():
    scores = np.array([[5.0, 4.0, 3.0, 2.0]])
    found = metrics.precision_recall_f1(scores, np.array([[-1, -1, -1, 1]]), top_k=3)
    assert found["OR"] == 0
    found = metrics.precision_recall_f1(scores, np.array([[-1, -1, -1, 1]]), top_k=9)
    assert found["OR"] == 1


def test_top_k_takes_the_first_of_equal_scores():
    scores = np.array([[1.0, 2.0, 1.0, 1.0, 0.5], [3.0, 3.0, 3.0, 3.0, 3.0]])
    for category, hit in enumerate([2, 2, 2, 0, 0]):
        targets = -np.ones((2, 5))
        targets[:, category] = 1
        found = metrics.precision_recall_f1(scores, targets, top_k=3)
        assert (found["OP"], found["OR"]) == (hit / 6, hit / 2)
    with pytest.raises(ValueError, match="top_k is 0"):
        metrics.precision_recall_f1(scores, targets, top_k=0)


def test_all_metrics_are_the_columns_of_a_row():
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(60, 6)), rng.random((60, 6)) < 0.3
    found = metrics.all_metrics(scores, targets)
    assert tuple(found) == metrics.METRIC_COLUMNS
    # What other people's scripts read, in this order; new ones follow.
    contract = "mAP mAP_voc2012 OP OR OF1 CP CR CF1 OP3 OR3 OF13 CP3 CR3 CF13"
    assert " ".join(found).startswith(contract)
    assert found["mAP"] == metrics.mean_ap(scores, targets)
    assert found["mAP_voc2012"] == metrics.voc2012_map(scores, targets)
    assert found["CF1"] == metrics.precision_recall_f1(scores, targets)["CF1"]
    assert found["CF13"] == metrics.precision_recall_f1(scores, targets, top_k=3)["CF1"]
    assert found["CF1"] != found["CF13"]


def test_pseudo_label_quality_counts_unknown_entries_only():
    observed = np.array([[1, 0, 0, 0]])
    truth = np.array([[1, 1, -1, 1]])
    pseudo = np.array([[-1, 1, 1, 0]])  # the first is known and must not count
    found = metrics.pseudo_label_quality(pseudo, observed, truth)
    assert found["pseudo_positive_precision"] == 0.5
    assert found["pseudo_positive_recall"] == 0.5
    assert np.isnan(found["pseudo_negative_precision"])
    assert found["pseudo_negative_recall"] == 0
    assert found["pseudo_coverage"] == pytest.approx(2 / 3)


@pytest.fixture
def scored():
    """Scores with ties and labels, of which a third are unknown."""
    rng = np.random.default_rng(1)
    scores = rng.integers(-20, 20, (300, 7)).astype(np.float32)
    return scores, rng.choice([-1, 0, 1], (300, 7))


def test_unknown_entries_count_in_no_metric(scored):
    scores, labels = scored
    by_column = [
        metrics.all_metrics(s[t != 0, None], t[t != 0, None])
        for s, t in zip(scores.T, labels.T, strict=True)
    ]
    found = metrics.all_metrics(metrics.only_judged(scores, labels), labels)
    for name in ("mAP", "mAP_voc2012", "CP", "CR"):
        assert found[name] == pytest.approx(np.mean([one[name] for one in by_column])), name
    changed = np.where(labels == 0, 1000, scores)
    assert metrics.all_metrics(metrics.only_judged(changed, labels), labels) == found
    assert metrics.all_metrics(changed, labels) != found


def test_an_unknown_entry_takes_no_place_among_the_highest():
    scores, labels = np.array([[9, 8, 3, 2, 1, -1]]), np.array([[0, 0, 1, -1, 1, 1]])
    found = metrics.precision_recall_f1(metrics.only_judged(scores, labels), labels, top_k=3)
    assert (found["OP"], found["OR"]) == (2 / 3, 2 / 3)


def test_scores_of_known_labels_are_left_as_they_are(scored):
    scores, labels = scored
    assert metrics.only_judged(scores, np.where(labels == 0, -1, labels)) is scores


def test_pseudo_labels_without_ground_truth_are_neither_right_nor_wrong():
    observed, complete = np.zeros((1, 4)), np.array([[1, -1, 0, 0]])
    quality = metrics.pseudo_label_quality(np.array([[1, 0, 1, -1]]), observed, complete)
    assert quality["pseudo_positive_precision"] == quality["pseudo_positive_recall"] == 1
    assert quality["pseudo_coverage"] == 0.5
    none = metrics.pseudo_label_quality(np.array([[1, 0, 1, -1]]), observed, observed)
    assert np.isnan(list(none.values())).all()


@pytest.mark.parametrize("bad", [np.zeros((3, 2)), np.full((4, 2), np.nan)])
def test_bad_scores_are_refused(bad):
    with pytest.raises(ValueError, match="scores"):
        metrics.average_precision(bad, np.ones((4, 2)))
