"""Score distributions of positives and negatives by category, and thresholds read off them.

Scores are logits z. All of this is a reading of SATL (docs/methods.md): the paper's equations
were not at hand. Every rule is a function of the same statistics and is chosen by config.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

PSEUDO_COUNTS = 2.0  # n0: weight of the pooled moments in each category's moments
MIN_VARIANCE = 1e-4
MIN_GAP = 0.01  # below this distance of the means a category gets no thresholds
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
        weight = self.n + PSEUDO_COUNTS
        mu = (self.sum + PSEUDO_COUNTS * pooled_mean) / weight
        square = (self.sum_squares + PSEUDO_COUNTS * pooled_square) / weight
        var = (square - mu.square()).clamp(min=MIN_VARIANCE)
        return Moments(self.n[0], mu[0], var[0], self.n[1], mu[1], var[1])

    def pooled_moments(self) -> Moments:
        """Moments over all categories together, each of shape (1,)."""
        n = self.n.sum(1, keepdim=True)
        mu = self.sum.sum(1, keepdim=True) / n.clamp(min=1e-6)
        square = self.sum_squares.sum(1, keepdim=True) / n.clamp(min=1e-6)
        var = (square - mu.square()).clamp(min=MIN_VARIANCE)
        return Moments(n[0], mu[0], var[0], n[1], mu[1], var[1])


def gaussian_thresholds(
    moments: Moments, q: float, *, prior_pos: bool, prior_neg: bool
) -> Thresholds:
    """Where the posterior of two Gaussians of equal variance reaches q, on either side.

    τ+ = m + (v/Δ)(logit q - logit π) and τ- = m - (v/Δ)(logit q + logit π), each with or
    without its prior term π; Δ = μ+ - μ-, m their midpoint, v the shared variance. τ- never
    exceeds τ+. Where Δ <= 0.01 there is nothing to tell apart: +inf and -inf.
    """
    gap = moments.mu_pos - moments.mu_neg
    middle = (moments.mu_pos + moments.mu_neg) / 2
    slope = moments.shared_var / gap
    certainty = torch.logit(torch.tensor(q))
    prior = torch.logit(moments.prior)
    pos = middle + slope * (certainty - (prior if prior_pos else 0))
    neg = middle - slope * (certainty + (prior if prior_neg else 0))
    return _where_separable(gap, pos, neg)


def _where_separable(gap: Tensor, pos: Tensor, neg: Tensor) -> Thresholds:
    separable = gap > MIN_GAP
    pos = torch.where(separable, pos, torch.inf)
    neg = torch.where(separable, torch.minimum(neg, pos), -torch.inf)
    return Thresholds(pos=pos, neg=neg)


def _posterior(statistics: ScoreStatistics, q: float) -> Thresholds:
    # No prior on the negative side, on purpose: pseudo-negatives would swallow hidden positives.
    return gaussian_thresholds(statistics.moments(), q, prior_pos=True, prior_neg=False)


def _symmetric(statistics: ScoreStatistics, q: float) -> Thresholds:
    return gaussian_thresholds(statistics.moments(), q, prior_pos=True, prior_neg=True)


def _likelihood(statistics: ScoreStatistics, q: float) -> Thresholds:
    return gaussian_thresholds(statistics.moments(), q, prior_pos=False, prior_neg=False)


def _crossing(statistics: ScoreStatistics, q: float) -> Thresholds:
    return gaussian_thresholds(statistics.moments(), 0.5, prior_pos=True, prior_neg=True)


def _means(statistics: ScoreStatistics, q: float) -> Thresholds:
    moments = statistics.moments()
    gap = moments.mu_pos - moments.mu_neg
    return _where_separable(gap, moments.mu_pos, moments.mu_neg)


def _global(statistics: ScoreStatistics, q: float) -> Thresholds:
    one = gaussian_thresholds(statistics.pooled_moments(), q, prior_pos=True, prior_neg=False)
    categories = statistics.n.shape[1]
    return Thresholds(pos=one.pos.expand(categories), neg=one.neg.expand(categories))


def _precision(statistics: ScoreStatistics, q: float) -> Thresholds:
    """Lowest bin edge above which, and highest below which, a share q has the right sign."""
    low, high = HISTOGRAM_RANGE
    edges = torch.linspace(low, high, HISTOGRAM_BINS + 1, device=statistics.n.device)
    positives, negatives = statistics.histogram
    above_pos, above_neg = positives.flip(1).cumsum(1).flip(1), negatives.flip(1).cumsum(1).flip(1)
    below_pos, below_neg = positives.cumsum(1), negatives.cumsum(1)
    good_pos = (above_pos > 0) & (above_pos >= q * (above_pos + above_neg))
    good_neg = (below_neg > 0) & (below_neg >= q * (below_pos + below_neg))
    pos = torch.where(good_pos, edges[:-1], torch.inf).amin(1)
    neg = torch.where(good_neg, edges[1:], -torch.inf).amax(1)
    return Thresholds(pos=pos, neg=torch.minimum(neg, pos))


RULES: dict[str, Callable[[ScoreStatistics, float], Thresholds]] = {
    "posterior": _posterior,
    "crossing": _crossing,
    "symmetric": _symmetric,
    "likelihood": _likelihood,
    "means": _means,
    "precision": _precision,
    "global": _global,
}


def pseudo_labels(logits: Tensor, labels: Tensor, thresholds: Thresholds) -> Tensor:
    """(B, C) int8: +1, -1 or 0 for the unknown entries of `labels`, 0 for the known ones."""
    z = logits.detach().float()
    positive = z >= thresholds.pos
    negative = (z <= thresholds.neg) & ~positive
    return (positive.to(torch.int8) - negative.to(torch.int8)) * (labels == 0).to(torch.int8)
