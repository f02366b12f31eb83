"""Score distributions of positives and negatives by category, and pseudo-labels by thresholds.

What is measured and applied stands here, how thresholds are chosen in threshold_rules.py.
Scores are logits z. All of this is a reading of SATL (docs/methods.md): the paper's equations
were not at hand.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

PRIOR_STRENGTH = 2.0  # n0: weight of the pooled moments in each category's moments
MIN_VARIANCE = 1e-4
HISTOGRAM_RANGE = (-12.0, 12.0)
HISTOGRAM_BINS = 240


@dataclass(frozen=True)
class Moments:
    """Shrunk moments; (C,) each. `n` are decayed counts, `mu` and `var` those of the logits."""

    n_pos: Tensor
    mu_pos: Tensor
    var_pos: Tensor
    n_neg: Tensor
    mu_neg: Tensor
    var_neg: Tensor

    @property
    def shared_var(self) -> Tensor:
        """v: the variances of both sides, weighted by their counts."""
        n_pos, n_neg = self.n_pos + 1e-6, self.n_neg + 1e-6
        return (n_pos * self.var_pos + n_neg * self.var_neg) / (n_pos + n_neg)

    @property
    def prior(self) -> Tensor:
        """π: share of positives among the known labels, smoothed."""
        return (self.n_pos + 0.5) / (self.n_pos + self.n_neg + 1)


@dataclass(frozen=True)
class Thresholds:
    """(C,) logits each: z >= pos makes a positive pseudo-label, else z <= neg a negative one."""

    pos: Tensor
    neg: Tensor


class ScoreStatistics(nn.Module):
    """Decayed sums over the known labels of each category; state that checkpoints carry.

    Rows of the buffers: 0 positives, 1 negatives. Sums instead of means, so that no bias
    correction is needed and a category that a batch lacks keeps its mean.

    Args:
        categories: C.
        decay: γ, applied before each update; 1 - 1/steps makes an epoch the memory.
    """

    n: Tensor
    sum: Tensor
    sum_squares: Tensor
    histogram: Tensor

    def __init__(self, categories: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("n", torch.zeros(2, categories))
        self.register_buffer("sum", torch.zeros(2, categories))
        self.register_buffer("sum_squares", torch.zeros(2, categories))
        self.register_buffer("histogram", torch.zeros(2, categories, HISTOGRAM_BINS))

    @torch.no_grad()
    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: logits (B, C) and labels (B, C), of which the unknown do not count."""
        z = logits.detach().float()
        known = torch.stack([labels > 0, labels < 0]).float()
        self.n.mul_(self.decay).add_(known.sum(1))
        self.sum.mul_(self.decay).add_((known * z).sum(1))
        self.sum_squares.mul_(self.decay).add_((known * z.square()).sum(1))
        low, high = HISTOGRAM_RANGE
        width = (high - low) / HISTOGRAM_BINS
        # NaN has no bin; the engine reports a diverged run at the end of its epoch.
        bins = ((z.nan_to_num() - low) / width).floor().clamp_(0, HISTOGRAM_BINS - 1).long()
        self.histogram.mul_(self.decay)
        # scatter_add_ over the batch: index (2, C, B) into the bins of each side and category.
        index = bins.T.unsqueeze(0).expand(2, -1, -1)
        self.histogram.scatter_add_(2, index, known.transpose(1, 2).contiguous())

    def moments(self) -> Moments:
        """Moments by category, shrunk by n0 pseudo-counts to the pooled ones of the same side."""
        total = self.n.sum(1, keepdim=True).clamp(min=1e-6)
        pooled_mean = self.sum.sum(1, keepdim=True) / total
        pooled_square = self.sum_squares.sum(1, keepdim=True) / total
        weight = self.n + PRIOR_STRENGTH
        mu = (self.sum + PRIOR_STRENGTH * pooled_mean) / weight
        square = (self.sum_squares + PRIOR_STRENGTH * pooled_square) / weight
        var = (square - mu.square()).clamp(min=MIN_VARIANCE)
        return Moments(self.n[0], mu[0], var[0], self.n[1], mu[1], var[1])

    def pooled_moments(self) -> Moments:
        """Moments over all categories together, each of shape (1,)."""
        n = self.n.sum(1, keepdim=True)
        mu = self.sum.sum(1, keepdim=True) / n.clamp(min=1e-6)
        square = self.sum_squares.sum(1, keepdim=True) / n.clamp(min=1e-6)
        var = (square - mu.square()).clamp(min=MIN_VARIANCE)
        return Moments(n[0], mu[0], var[0], n[1], mu[1], var[1])


def pseudo_labels(logits: Tensor, labels: Tensor, thresholds: Thresholds) -> Tensor:
    """(B, C) int8: +1, -1 or 0 for the unknown entries of `labels`, 0 for the known ones."""
    z = logits.detach().float()
    positive = z >= thresholds.pos
    negative = (z <= thresholds.neg) & ~positive
    return (positive.to(torch.int8) - negative.to(torch.int8)) * (labels == 0).to(torch.int8)
