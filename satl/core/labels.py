"""The label code used everywhere: +1 known present, -1 known absent, 0 unknown (int8)."""

import numpy as np

POSITIVE = 1
NEGATIVE = -1
UNKNOWN = 0


def check_label_code(labels: np.ndarray, where: str) -> None:
    """Raise ValueError unless `labels` holds nothing but +1, -1 and 0; `where` names the source."""
    stray = np.setdiff1d(np.unique(labels), (NEGATIVE, UNKNOWN, POSITIVE))
    if stray.size:
        raise ValueError(f"{where}: labels must be +1, -1 or 0, found {stray[:5].tolist()}")
