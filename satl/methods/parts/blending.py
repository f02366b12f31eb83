"""Blending category features of one image with others, for SARB and DSRB."""

import torch
from torch import Tensor

from satl.core.labels import UNKNOWN


def blend(
    features: Tensor, labels: Tensor, others: Tensor, chosen: Tensor, weight: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Where `chosen`: weight · features + (1 - weight) · others, with the label 1 - weight.

    Args:
        features, others: (B, C, D); `others` are those of positives where chosen.
        labels: (B, C), +1 / -1 / 0; unknown where chosen.
        chosen: (B, C) mask.
        weight: in [0, 1], a number or a tensor of one.

    Returns:
        (B, C, D) features and (B, C) float labels; as they were where not chosen.
    """
    weight = torch.as_tensor(weight, dtype=features.dtype, device=features.device)
    kept = torch.where(chosen, weight, 1.0)
    mixed = torch.lerp(others, features, kept.unsqueeze(2))
    return mixed, torch.where(chosen, 1 - weight, labels.to(features.dtype))


def blend_instances(
    features: Tensor, labels: Tensor, alpha: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Blend each image with its partner in the reversed batch (SARB, Pu et al., AAAI 2022).

    A category is blended where it is unknown in the image and known to be present in the
    partner. In a batch of odd size the middle image is its own partner, and stays as it is.

    Args:
        features: (B, C, D).
        labels: (B, C), +1 / -1 / 0.
        alpha: share that the image keeps.

    Returns:
        (B, C, D) blended features and (B, C) blended float labels.
    """
    chosen = (labels == UNKNOWN) & (labels.flip(0) > 0)
    return blend(features, labels, features.flip(0), chosen, alpha)
