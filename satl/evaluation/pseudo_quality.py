"""How good the pseudo-labels of each epoch are."""

import numpy as np
from numpy.typing import NDArray

from satl import metrics


def pseudo_quality(
    pseudo_labels: NDArray, observed: NDArray, complete: NDArray
) -> dict[str, list[float]]:
    """Values of `satl.metrics.pseudo_label_quality` by name, one per epoch.

    Args:
        pseudo_labels: (E, N, C); all values are NaN in an epoch that made none.
        observed: (N, C) labels that training saw.
        complete: (N, C) the ground truth.
    """
    epochs = []
    for pseudo in pseudo_labels:
        quality = metrics.pseudo_label_quality(pseudo, observed, complete)
        epochs.append(quality if pseudo.any() else dict.fromkeys(quality, np.nan))
    return {name: [epoch[name] for epoch in epochs] for name in epochs[0]}
