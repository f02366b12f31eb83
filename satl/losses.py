"""Losses that two or more methods share. Logits x, labels +1 / -1 / 0; computed in float32."""

import torch
import torch.nn.functional as F
from torch import Tensor


def bce_terms(logits: Tensor, labels: Tensor) -> Tensor:
    """Entry-wise binary cross-entropy, shape of `logits`.

    A label t > 0 counts as BCE-with-logits(x, t), t < 0 as BCE-with-logits(-x, -t) (t may be
    soft), and an unknown one (0) as nothing.
    """
    labels = labels.float()
    sign = labels.sign()
    turned = logits.float() * sign
    terms = F.binary_cross_entropy_with_logits(turned, labels.abs(), reduction="none")
    return terms * sign.abs()


def partial_bce(logits: Tensor, labels: Tensor, margin: float = 0.0) -> Tensor:
    """Binary cross-entropy averaged over the known entries (Durand et al., CVPR 2019).

    Args:
        logits: (B, C).
        labels: (B, C), in [-1, 1]; entries with |label| <= `margin` do not count.
        margin: 0 leaves out just the unknown entries.

    Returns:
        A scalar; 0, with a gradient graph, where no entry counts.
    """
    counted = labels.abs() > margin
    terms = bce_terms(logits, torch.where(counted, labels, 0))
    return terms.sum() / counted.sum().clamp(min=1)


def gap_ranking(logits: Tensor, labels: Tensor) -> Tensor:
    """Differential ranking loss on mean scores, our reading of SATL (docs/methods.md).

    For each category with a known positive and a known negative in the batch:
    max(0, 1 - (mean score of positives - mean score of negatives)), scores in (0, 1); averaged
    over these categories. As scores lie in (0, 1) it equals the pairwise hinge of margin 1.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.

    Returns:
        A scalar; 0, with a gradient graph, where no category has both.
    """
    scores = torch.sigmoid(logits.float())
    positive, negative = (labels > 0).float(), (labels < 0).float()
    n_positive, n_negative = positive.sum(0), negative.sum(0)
    gap = (scores * positive).sum(0) / n_positive.clamp(min=1)
    gap = gap - (scores * negative).sum(0) / n_negative.clamp(min=1)
    both = ((n_positive > 0) & (n_negative > 0)).float()
    return ((1 - gap).clamp(min=0) * both).sum() / both.sum().clamp(min=1)
