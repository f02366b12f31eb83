"""WAN: weak assume negative, unknown labels are absent with little weight (Cole et al., CVPR 2021).

Made for one positive per image and no known negatives, where the unknown entries of an image weigh
as much as its positive. Here a label known to be absent has weight 1, like a positive. Published
logarithms are of p + 1e-5, ours are exact.
"""

import torch
from torch import Tensor

from satl.losses import absent_filled, bce_terms
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class WAN(Method[Hyperparameters]):
    """BCE averaged over all entries, the unknown ones absent with weight 1/(C - 1)."""

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        return StepResult({"known_and_assumed": weighted_terms(outputs.logits, labels).mean()})


def weighted_terms(logits: Tensor, labels: Tensor) -> Tensor:
    """BCE where known; 1/(C - 1) of the BCE against absent where unknown.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.

    Returns:
        (B, C).
    """
    weight = 1 / max(1, labels.shape[1] - 1)
    terms = bce_terms(logits, absent_filled(labels))
    return torch.where(labels == 0, weight * terms, terms)
