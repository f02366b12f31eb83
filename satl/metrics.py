"""Metrics of multi-label recognition as pure NumPy functions of scores and targets.

All values are fractions in [0, 1]; `satl evaluate` makes per cent of them, which metrics.json,
summary.csv, tables, figures and trackers show.

`scores` are (N, C) floats, higher means more likely present; `targets` are (N, C), positive
where > 0. A value that is not defined is NaN.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def average_precision(scores: ArrayLike, targets: ArrayLike) -> Floats:
    """(C,) average precision: the mean, over the positives, of the precision at their rank.

    Images of equal score share one rank (as in scikit-learn), so the order of images does not
    matter. A category without positives gives NaN.
    """
    return _column_means(_precisions(*_checked(scores, targets)))


def mean_ap(scores: ArrayLike, targets: ArrayLike) -> float:
    """mAP: the mean AP over the categories that have positives; NaN if none has."""
    return _mean(average_precision(scores, targets))


def known_mean_ap(scores: NDArray, labels: NDArray) -> float:
    """mAP over the known entries alone of `labels`, (N, C) +1 / -1 / 0; NaN without a positive."""
    return mean_ap(only_judged(scores, labels), labels)


def voc2012_map(scores: ArrayLike, targets: ArrayLike) -> float:
    """mAP by the rule of PASCAL VOC 2010-2012: area under the monotone precision envelope."""
    return _mean(_column_means(_envelopes(_precisions(*_checked(scores, targets)))))


def all_metrics(scores: ArrayLike, targets: ArrayLike) -> dict[str, float]:
    """Every metric of a row of the summary, where both mAPs share one ranking.

    The keys are the columns of summary.csv, in their order (`METRIC_COLUMNS`). Other people's
    scripts count on those that are here: add a metric at the end.

    Returns:
        Fractions: {"mAP", "mAP_voc2012"}, `precision_recall_f1`, the same among the three
        highest of each image as {"OP3", "OR3", …}, and {"AUROC", "ECE"}: the mean `auroc` over
        categories and the `calibration_error`.
    """
    precisions = _precisions(*_checked(scores, targets))
    top3 = precision_recall_f1(scores, targets, top_k=3)
    return {
        "mAP": _mean(_column_means(precisions)),
        "mAP_voc2012": _mean(_column_means(_envelopes(precisions))),
        **precision_recall_f1(scores, targets),
        **{f"{name}3": value for name, value in top3.items()},
        "AUROC": _mean(auroc(scores, targets)),
        "ECE": calibration_error(scores, targets),
    }


def only_judged(scores: ArrayLike, labels: ArrayLike) -> NDArray:
    """`scores` (…, N, C) for metrics that are to leave unknown labels (N, C; 0) out.

    An entry that nobody knows gets the score -inf: it is below every positive, so that no
    precision counts it, it is never predicted, and it takes none of the `top_k` places. Where
    every label is known, `scores` are returned as they are. Metrics that look at the ranks of
    negatives need the labels instead.
    """
    values, judged = np.asarray(scores), np.asarray(labels) != 0
    return values if judged.all() else np.where(judged, values, -np.inf)


def precision_recall_f1(
    scores: ArrayLike, targets: ArrayLike, top_k: int | None = None
) -> dict[str, float]:
    """Overall (OP, OR, OF1) and per-category (CP, CR, CF1) precision, recall and F1.

    An entry is predicted present if its score is >= 0 (logits), and, with `top_k`, also among
    the `top_k` highest of its image (of equal scores, the first). CP and CR are means over
    categories, where a category without predictions has precision 0 and a category without
    positives is left out; CF1 is the harmonic mean of CP and CR.

    Returns:
        {"OP", "OR", "OF1", "CP", "CR", "CF1"}.
    """
    values, positive = _checked(scores, targets)
    predicted = values >= 0
    if top_k is not None:
        predicted &= _among_top(values, top_k)
    hits = (predicted & positive).sum(0)
    guesses, present = predicted.sum(0), positive.sum(0)
    judged = present > 0
    op = _ratio(hits.sum(), guesses.sum())
    recall = _ratio(hits.sum(), present.sum())
    cp = _mean((hits / np.maximum(guesses, 1))[judged])
    cr = _mean((hits / np.maximum(present, 1))[judged])
    return {
        "OP": op, "OR": recall, "OF1": _harmonic(op, recall),
        "CP": cp, "CR": cr, "CF1": _harmonic(cp, cr),
    }  # fmt: skip


def auroc(scores: ArrayLike, targets: ArrayLike) -> Floats:
    """(C,) area under the ROC curve, over the known entries (`targets` 0 is unknown).

    The probability that a positive has a higher score than a negative, where equal scores count
    half (as in scikit-learn). A category that lacks known positives or negatives gives NaN.
    """
    values, positive = _checked(scores, targets)
    negative = _known(targets) & ~positive
    columns = zip(values.T, positive.T, negative.T, strict=True)
    return np.array([_wins(score[yes], score[no]) for score, yes, no in columns])


def calibration_error(scores: ArrayLike, targets: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error of the sigmoid of logits (Guo et al., ICML 2017, eq. 3).

    Known entries of all categories (`targets` 0 is unknown) are binned by the probability that
    they are given, in bins of equal width; the error is the mean over bins of the gap between
    mean probability and share of positives, weighted by the entries of the bin. NaN where no
    entry is known.
    """
    values, positive = _checked(scores, targets)
    known = _known(targets)
    probability = probabilities(values[known])
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    # Number of entries times gap of their means is the sum of their gaps.
    gaps = np.bincount(place, weights=probability - positive[known], minlength=bins)
    return _ratio(np.abs(gaps).sum(), known.sum())


def pseudo_label_quality(
    pseudo: ArrayLike, observed: ArrayLike, complete: ArrayLike
) -> dict[str, float]:
    """How good pseudo-labels are, over the unknown entries that have a ground truth.

    Args:
        pseudo: (N, C), +1 / -1 where a pseudo-label was made, else 0.
        observed: (N, C), 0 where the label is unknown.
        complete: (N, C), +1 / -1: the ground truth; 0 where there is none.

    Returns:
        Precision and recall of positive and negative pseudo-labels, and coverage, the share of
        these entries that got one; NaN where nothing is there to divide by.
    """
    hidden = (np.asarray(observed) == 0) & (np.asarray(complete) != 0)
    guessed, true = np.asarray(pseudo)[hidden], np.asarray(complete)[hidden]
    quality = {}
    for name, sign in (("positive", 1), ("negative", -1)):
        made, real = guessed == sign, true == sign
        hits = (made & real).sum()
        quality[f"pseudo_{name}_precision"] = _ratio(hits, made.sum())
        quality[f"pseudo_{name}_recall"] = _ratio(hits, real.sum())
    quality["pseudo_coverage"] = _ratio((guessed != 0).sum(), guessed.size)
    return quality


def probabilities(logits: NDArray) -> NDArray[np.float64]:
    """The sigmoid of logits, by the tanh, which does not overflow."""
    return (1 + np.tanh(logits.astype(np.float64) / 2)) / 2


def _checked(scores: ArrayLike, targets: ArrayLike) -> tuple[NDArray, NDArray[np.bool_]]:
    scores, positive = np.asarray(scores), np.asarray(targets) > 0
    if scores.ndim != 2 or scores.shape != positive.shape:
        raise ValueError(f"scores {scores.shape} and targets {positive.shape} must be one (N, C)")
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN")
    return scores, positive


def _known(targets: ArrayLike) -> NDArray[np.bool_]:
    """Which entries are known: all but 0 of the label code; of truth values, all."""
    given = np.asarray(targets)
    return np.ones(given.shape, dtype=bool) if given.dtype == np.bool_ else given != 0


def _wins(positives: NDArray, negatives: NDArray) -> float:
    """Share of the pairs that the positive wins; a tie is half a win."""
    if not (positives.size and negatives.size):
        return np.nan
    ranked = np.sort(negatives)
    below = np.searchsorted(ranked, positives, side="left")
    not_above = np.searchsorted(ranked, positives, side="right")
    return float((below + not_above).mean() / 2 / len(ranked))


def _precisions(scores: NDArray, positive: NDArray[np.bool_]) -> list[Floats]:
    """Per category, the precision at the rank of each positive, from the lowest score up."""
    columns = zip(np.ascontiguousarray(scores.T), np.ascontiguousarray(positive.T), strict=True)
    return [_precision_at_positives(*column) for column in columns]


def _precision_at_positives(scores: NDArray, positive: NDArray[np.bool_]) -> Floats:
    """How many of the scores that reach a positive's are positives' themselves.

    Only values are sorted, never their order (argsort), which NumPy does several times as fast,
    and only the positives are looked up. Equal scores count as reached, so ties share a rank.
    """
    hits = np.sort(scores[positive])
    reached = len(scores) - np.searchsorted(np.sort(scores), hits)
    return (len(hits) - np.searchsorted(hits, hits)) / reached


def _envelopes(precisions: list[Floats]) -> list[Floats]:
    """The highest precision at the same or a higher recall: between positives it only falls."""
    return [np.maximum.accumulate(precision) for precision in precisions]


def _column_means(precisions: list[Floats]) -> Floats:
    """(C,) means; NaN for a category without positives."""
    return np.array([values.mean() if values.size else np.nan for values in precisions])


def _among_top(scores: NDArray, k: int) -> NDArray[np.bool_]:
    """Exactly the `k` highest of each row; of equal scores, those of the first columns."""
    if k < 1:
        raise ValueError(f"top_k is {k}; it must be at least 1, or None for no limit")
    if k >= scores.shape[1]:
        return np.ones(scores.shape, dtype=bool)
    lowest = np.partition(scores, -k, axis=1)[:, -k, None]
    among = scores >= lowest
    crowded = np.flatnonzero(among.sum(axis=1) > k)
    above, equal = scores[crowded] > lowest[crowded], scores[crowded] == lowest[crowded]
    room = k - above.sum(axis=1, keepdims=True)
    among[crowded] = above | (equal & (equal.cumsum(axis=1) <= room))
    return among


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else np.nan


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0


def _mean(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else np.nan


# Asked of the function itself, on one image of one category, so that no list of names can differ.
METRIC_COLUMNS = tuple(all_metrics([[0.0]], [[1]]))
