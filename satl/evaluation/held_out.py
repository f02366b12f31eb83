"""How good each epoch is on the known labels of the images that were held out of training."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satl import metrics
from satl.core.errors import UserError
from satl.data.table import LabelTable


def validation_scores(
    folder: Path, predictions: dict[str, NDArray], validation: LabelTable | None
) -> list[float] | None:
    """`known_mean_ap` of every epoch; None where no images were held out.

    Args:
        folder: of the run, for messages.
        predictions: of the run.
        validation: the images held out, with what is known of their labels.

    Raises:
        UserError: the run has predicted other images than those of `validation`.
    """
    found = predictions.get("validation_image_ids")
    given = None if validation is None else validation.image_ids
    if found is None and given is None:
        return None
    if validation is None:
        raise UserError(f"{folder}: images were held out of training; give their --validation")
    if found is None or not np.array_equal(found, validation.image_ids):
        raise UserError(f"{folder}: the run has predicted other held-out images than those given")
    return [known_mean_ap(e, validation.labels) for e in predictions["validation_logits"]]


def known_mean_ap(scores: NDArray, labels: NDArray) -> float:
    """mAP over the known entries alone, in 0 … 1; NaN where no positive is known.

    Args:
        scores: (N, C).
        labels: (N, C), +1 / -1 / 0.
    """
    return metrics.mean_ap(metrics.only_judged(scores, labels), labels)
