"""Semantic transfer from known to unknown labels: the scores that SST and HST share."""

import torch
import torch.nn.functional as F
from torch import Tensor

from satl.core.labels import POSITIVE, UNKNOWN
from satl.losses import pair_indices
from satl.methods.parts.prototypes import occupied


def intra_scores(pair_logits: Tensor, labels: Tensor) -> Tensor:
    """How likely each category is beside the image's known positives.

    The mean over the known positives k of σ(z_ck), where z_cc counts as certain (1).

    Args:
        pair_logits: (B, C(C-1)/2), in the order (0,1), (0,2), … (1,2), …
        labels: (B, C), +1 / -1 / 0.

    Returns:
        (B, C) in [0, 1]; 0 for an image without known positives.
    """
    batch, categories = labels.shape
    i, j = pair_indices(categories, labels.device)
    together = torch.eye(categories, device=labels.device).repeat(batch, 1, 1)
    together[:, i, j] = torch.sigmoid(pair_logits.float())
    together[:, j, i] = together[:, i, j]
    present = (labels > 0).float()
    total = (together @ present.unsqueeze(2)).squeeze(2)
    return total / present.sum(1, keepdim=True).clamp(min=1)


def inter_scores(features: Tensor, bank: Tensor) -> Tensor:
    """Mean cosine between each image's feature of a category and that category's bank.

    Args:
        features: (B, C, D).
        bank: (C, K, D) features or prototypes; a slot of zeros is empty.

    Returns:
        (B, C) in [-1, 1]; 0 for a category whose bank is empty.
    """
    # The mean of cosines is the product with the mean of unit vectors: no (B, C, K, D) tensor.
    count = occupied(bank).sum(1).clamp(min=1)
    direction = F.normalize(bank.float(), dim=2).sum(1) / count.unsqueeze(1)
    return (F.normalize(features.float(), dim=2) * direction).sum(2)


def add_positive_pseudo_labels(found: Tensor, labels: Tensor) -> Tensor:
    """`labels`, with the unknown ones that are `found` (a mask) made positive."""
    return labels.masked_fill(found & (labels == UNKNOWN), POSITIVE)


def pseudo_label_mask(*filled: Tensor, labels: Tensor) -> Tensor:
    """Which unknown `labels` one of `filled` made positive: int8, +1 there and else 0."""
    found = torch.stack([part > 0 for part in filled]).any(0)
    return (found & (labels == UNKNOWN)).to(torch.int8)
