"""How the training scores of known and hidden labels are distributed: what figures show of them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BINS = 80
KINDS = ("known_positive", "hidden_positive", "known_negative", "hidden_negative")


def score_counts(
    logits: NDArray, observed: NDArray, complete: NDArray
) -> tuple[NDArray[np.int64], NDArray]:
    """Logits binned by kind of label and category, in common bins.

    Args:
        logits: (N, C) training logits; NaN where an image was not in the epoch.
        observed: (N, C) labels that training saw.
        complete: (N, C) all labels, hidden ones included.

    Returns:
        (4, C, BINS) counts, kinds as in KINDS, and the (BINS + 1,) edges of the bins.
    """
    seen = ~np.isnan(logits)
    values = logits[seen]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    edges = np.linspace(low, max(high, low + 1e-3), BINS + 1)
    kinds = (
        observed > 0,
        (observed == 0) & (complete > 0),
        observed < 0,
        (observed == 0) & (complete < 0),
    )
    counts = [
        [np.histogram(logits[rows, category], edges)[0] for category, rows in enumerate(where.T)]
        for where in (kind & seen for kind in kinds)
    ]
    return np.array(counts), edges


def histogram_table(
    counts: NDArray[np.int64], edges: NDArray, categories: tuple[str, ...]
) -> pd.DataFrame:
    """The counts of `score_counts` as rows of category, label (kind), left, right, count."""
    kinds, names, bins = counts.shape
    return pd.DataFrame(
        {
            "category": np.tile(np.repeat(categories, bins), kinds),
            "label": np.repeat(KINDS, names * bins),
            "left": np.tile(edges[:-1], kinds * names),
            "right": np.tile(edges[1:], kinds * names),
            "count": counts.ravel(),
        }
    )
