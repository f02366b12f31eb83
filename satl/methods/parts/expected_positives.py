"""How many categories an image shows, and a penalty on predicting another number."""

import torch
from torch import Tensor

from satl.core.errors import UserError
from satl.thresholds import positive_share


def expected_positives(labels: Tensor) -> float:
    """Σ_c π_c, π_c the share of positives among the known labels of category c.

    A category of which nothing is known has the share of all categories together.

    Args:
        labels: (N, C), +1 / -1 / 0.

    Raises:
        UserError: no label is known to be absent, so that nothing tells π_c.
    """
    positives, negatives = (labels > 0).sum(0), (labels < 0).sum(0)
    if not negatives.any():
        raise UserError(
            "no training label is known to be absent, so the number of positives per image cannot "
            "be estimated: give it as option `expected` of the method (2.9 for COCO, 1.5 for VOC)"
        )
    pooled = positives.sum() / (positives.sum() + negatives.sum())
    share = positive_share(labels)
    return float(share.where(~share.isnan(), pooled).sum())


def expected_positive_penalty(logits: Tensor, expected: float) -> Tensor:
    """[(mean over the batch of Σ_c p) - k]² / C² (Cole et al., CVPR 2021).

    Args:
        logits: (B, C).
        expected: k, the number of positives per image.

    Returns:
        A scalar.
    """
    predicted = torch.sigmoid(logits.float()).sum(1).mean()
    return ((predicted - expected) / logits.shape[1]).square()
