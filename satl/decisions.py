"""From scores to decisions: one threshold per category, chosen on labels that are known."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FALLBACK = 0.0  # the logit of probability 0.5


class DecisionThresholds(NamedTuple):
    """From which logit on a category counts as present; (C,) each.

    `chosen` is False where the known labels cannot choose and the threshold is FALLBACK.
    """

    logits: NDArray[np.float64]
    chosen: NDArray[np.bool_]


def f1_thresholds(scores: NDArray, labels: NDArray) -> DecisionThresholds:
    """Per category, the threshold that maximises F1 over the known labels.

    Of thresholds that are equally good the highest counts. It stands half-way between the lowest
    score that it accepts and the next one below. A category needs a known positive and a known
    negative: without the first, F1 is not defined; without the second, all would be accepted.

    Args:
        scores: (N, C) logits; NaN where an entry has none.
        labels: (N, C), +1 / -1 / 0 for unknown.
    """
    logits, chosen = np.full(labels.shape[1], FALLBACK), np.zeros(labels.shape[1], dtype=bool)
    judged = (labels != 0) & ~np.isnan(scores)
    for category, rows in enumerate(judged.T):
        values, present = scores[rows, category].astype(np.float64), labels[rows, category] > 0
        if present.any() and not present.all():
            logits[category] = _best(np.sort(values[present]), np.sort(values[~present]))
            chosen[category] = True
    return DecisionThresholds(logits, chosen)


def _best(positives: NDArray, negatives: NDArray) -> float:
    """The threshold of the highest F1 between two sorted sets of scores."""
    # The best threshold accepts down to some positive: negatives below it only cost precision.
    candidates = np.unique(positives)[::-1]
    hits = len(positives) - np.searchsorted(positives, candidates)
    accepted = hits + len(negatives) - np.searchsorted(negatives, candidates)
    lowest = candidates[np.argmax(2 * hits / (accepted + len(positives)))]
    rest = np.concatenate([positives[positives < lowest], negatives[negatives < lowest]])
    return float((lowest + rest.max()) / 2) if rest.size else float(lowest)
