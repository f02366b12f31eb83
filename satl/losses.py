"""Losses that two or more methods share. Logits x, labels +1 / -1 / 0; computed in float32."""

import torch
import torch.nn.functional as F
from torch import Tensor

from satl.core.labels import NEGATIVE, UNKNOWN


def bce_terms(logits: Tensor, labels: Tensor) -> Tensor:
    """Entry-wise binary cross-entropy, shape of `logits`.

    A label t > 0 counts as BCE-with-logits(x, t), t < 0 as BCE-with-logits(-x, -t) (t may be
    soft), and an unknown one (0) as nothing.
    """
    labels = labels.float()
    sign = labels.sign()
    signed_logits = logits.float() * sign
    terms = F.binary_cross_entropy_with_logits(signed_logits, labels.abs(), reduction="none")
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


def absent_filled(labels: Tensor) -> Tensor:
    """Labels with every unknown one taken for absent."""
    return labels.masked_fill(labels == UNKNOWN, NEGATIVE)


def largest_among(values: Tensor, among: Tensor, count: int) -> Tensor:
    """The `count` largest `values` of the entries `among`, or all of these if they are fewer.

    Args:
        values, among: of one shape; `among` is bool.

    Returns:
        Bool, same shape. Of equal values the first ones are taken, on every device.
    """
    order = values.masked_fill(~among, -torch.inf).flatten().argsort(descending=True, stable=True)
    taken = torch.zeros_like(among).flatten().scatter(0, order[:count], True)
    return taken.view_as(among) & among


def differential_ranking(logits: Tensor, labels: Tensor) -> Tensor:
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


def pair_asymmetric(
    pair_logits: Tensor,
    labels: Tensor,
    gamma_neg: float = 2.0,
    gamma_pos: float = 1.0,
    clip: float = 0.05,
) -> Tensor:
    """Asymmetric loss on category pairs (SST, Chen et al., AAAI 2022; Ridnik et al., ICCV 2021).

    A pair's target t is 1 where both categories are known to be present, else 0: unknown pairs
    count as negative, as published. With p = σ(z) and q = min(1 - p + clip, 1), the loss is
    -[t log p + (1 - t) log q] · (1 - p t - q (1 - t))^γ, γ = γ₊ t + γ₋ (1 - t).

    Args:
        pair_logits: (B, C(C-1)/2), in the order (0,1), (0,2), … (1,2), …
        labels: (B, C), +1 / -1 / 0.
        gamma_neg, gamma_pos: how fast easy pairs lose weight.
        clip: probability below which a negative pair costs nothing.

    Returns:
        A scalar, the mean over all pairs; 0, with a gradient graph, where there is none.
    """
    present = labels > 0
    i, j = pair_indices(labels.shape[1], labels.device)
    target = present[:, i] & present[:, j]
    log_right, focus = _asymmetric(pair_logits, target, gamma_pos, gamma_neg, clip)
    return -(log_right * focus).sum() / max(1, target.numel())


def asymmetric_terms(
    logits: Tensor, labels: Tensor, gamma_pos: float, gamma_neg: float, clip: float
) -> Tensor:
    """Entry-wise asymmetric loss, unknown labels counted as absent (Ridnik et al., ICCV 2021).

    With p = σ(x) and q = min(1 - p + clip, 1): -(1 - p)^γ₊ log p where present, else
    -(1 - q)^γ₋ log q. The focusing factors carry no gradient.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.
        gamma_pos, gamma_neg: how fast easy entries lose weight; 0 on both sides is BCE.
        clip: probability below which an absent entry costs nothing.

    Returns:
        (B, C).
    """
    log_right, focus = _asymmetric(logits, labels > 0, gamma_pos, gamma_neg, clip)
    return -log_right * focus.detach()


def _asymmetric(
    logits: Tensor, present: Tensor, gamma_pos: float, gamma_neg: float, clip: float
) -> tuple[Tensor, Tensor]:
    """Logarithm of the probability given to each target, and the factor that focuses on it."""
    logits = logits.float()
    absent = (torch.sigmoid(-logits) + clip).clamp(min=1e-8, max=1)
    log_right = torch.where(present, F.logsigmoid(logits), absent.log())
    wrong = 1 - torch.where(present, torch.sigmoid(logits), absent)
    return log_right, torch.where(present, wrong.pow(gamma_pos), wrong.pow(gamma_neg))


def focal_terms(logits: Tensor, gamma: float) -> Tensor:
    """-(1 - p)^γ log p with p = σ(x), entry by entry; the gradient passes through both factors."""
    logits = logits.float()
    return -torch.exp(gamma * F.logsigmoid(-logits)) * F.logsigmoid(logits)


def pair_indices(categories: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """First and second category of each pair, in row-major order of the upper triangle."""
    first, second = torch.triu_indices(categories, categories, offset=1, device=device)
    return first, second


def contrastive(
    features: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Instance contrastive loss (SST and SARB, AAAI 2022).

    Over image pairs and categories, with the cosine d of their features: 1 - d where both images
    are positive; 1 + d where one is positive and one negative; 1 + d where both are negative.
    With n > 0 positive pairs in the batch, the pairs of either other kind are thinned out: 2n at
    random (all, if there are fewer), and the n largest on top, which then count twice.

    Args:
        features: (B, C, D).
        labels: (B, C), +1 / -1 / 0; unknown ones take no part.
        generator: draws the negatives; none: torch's global one.

    Returns:
        A scalar, the mean of all terms; 0, with a gradient graph, where there is none.
    """
    i, j = pair_indices(len(features), features.device)
    # One matrix of cosines per category; the upper triangles are its image pairs.
    unit = F.normalize(features.float(), dim=2).transpose(0, 1)
    cosine = (unit @ unit.transpose(1, 2))[:, i, j].flatten()
    first, second = (labels.T[:, index].flatten().sign() for index in (i, j))
    positive = (first > 0) & (second > 0)
    count = positive.sum()
    weight = positive.float()
    draws = torch.rand(cosine.shape, generator=generator, device=cosine.device)
    for negative in (first * second < 0, (first < 0) & (second < 0)):
        weight = weight + torch.where(
            count > 0, _negative_pair_weights(negative, draws, cosine, count), negative
        )
    terms = 1 - torch.where(positive, cosine, -cosine)
    return (weight * terms).sum() / weight.sum().clamp(min=1)


def _negative_pair_weights(chosen: Tensor, draws: Tensor, cosine: Tensor, count: Tensor) -> Tensor:
    """How often each `chosen` pair counts: `2 count` of them at random, `count` by cosine."""
    ranks = torch.arange(len(draws), device=draws.device)
    weight = torch.zeros_like(draws)
    for keys, wanted in ((draws, 2 * count), (cosine.detach(), count)):
        # Sorting instead of indexing keeps shapes fixed, so that a GPU need not be waited for.
        order = keys.masked_fill(~chosen, -torch.inf).argsort(descending=True)
        taken = (ranks < wanted) & (ranks < chosen.sum())
        weight = weight.scatter_add(0, order, taken.float())
    return weight
