"""Numbers as the page keeps them."""

from collections.abc import Iterable

import numpy as np


def rounded(values: Iterable[float | None], digits: int = 3) -> list[float | None]:
    """Short numbers for JSON; None where a value is NaN or infinite."""
    array = np.asarray(list(values), dtype=float)
    return [
        value if finite else None
        for value, finite in zip(array.round(digits).tolist(), np.isfinite(array), strict=True)
    ]
