"""How alike the scores of known and of hidden labels are: the Kolmogorov–Smirnov distance.

SATL reads its thresholds off the scores of known labels and applies them to hidden ones, so it
counts on the two being alike. Training pushes known labels to their side, hidden ones it does not
see: what the distance is, a run says.
"""

import numpy as np
import pandas as pd

# Fewer labels of a kind say nothing of their distribution.
FEWEST = 5
SIDES = ("positive", "negative")
KINDS = ("known", "hidden")


def score_distances(histogram: pd.DataFrame) -> pd.DataFrame:
    """Distance between the training logits of known and hidden labels, per category and side.

    Args:
        histogram: of one run (`RunFolder.score_histogram`); its bins bound the precision.

    Returns:
        Columns category, side (positive, negative), distance (the largest difference of the two
        cumulative distributions, 0 … 1), and expected: what it would be on average if both were
        drawn from one distribution, 0.8687 √((n + m) / nm) for n and m labels, the mean of
        Kolmogorov's distribution (Marsaglia et al., J. Stat. Softw. 8(18), 2003). Categories
        with fewer than FEWEST known or hidden labels are left out.
    """
    counts = histogram.pivot(index=["category", "left"], columns="label", values="count")
    rows = []
    for category, of_category in counts.groupby(level="category", sort=False):
        for side in SIDES:
            known, hidden = (of_category[f"{kind}_{side}"].to_numpy() for kind in KINDS)
            n, m = int(known.sum()), int(hidden.sum())
            if min(n, m) >= FEWEST:
                distance = float(np.abs(known.cumsum() / n - hidden.cumsum() / m).max())
                expected = 0.8687 * np.sqrt((n + m) / (n * m))
                rows.append((category, side, distance, min(1.0, expected)))
    return pd.DataFrame(rows, columns=["category", "side", "distance", "expected"])
