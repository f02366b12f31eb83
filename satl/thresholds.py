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
        self.epoch = EpochStatistics(categories, step=1 - decay)
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
        self.epoch.update(z, known)

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


class EpochStatistics(nn.Module):
    """Scores in (0, 1) of the epoch so far, and what the whole epoch before has shown.

    Rows of two are 0 positives, 1 negatives, as in `ScoreStatistics`.

    Args:
        categories: C.
        step: share of an epoch that one step is.
    """

    done: Tensor  # share of the epoch that is done
    finished: Tensor  # epochs
    n: Tensor
    score_sum: Tensor
    last_mean: Tensor  # (2, C) of the scores, in the last epoch before that had any
    had_any: Tensor  # (2, C) whether there was one
    quota: Tensor  # (2, C) thresholds in logits, by rank in the epoch before

    def __init__(self, categories: int, step: float) -> None:
        super().__init__()
        self.step = step
        self.register_buffer("done", torch.zeros(()))
        self.register_buffer("finished", torch.zeros(()))
        self.register_buffer("n", torch.zeros(2, categories))
        self.register_buffer("score_sum", torch.zeros(2, categories))
        self.register_buffer("last_mean", torch.zeros(2, categories))
        self.register_buffer("had_any", torch.zeros(2, categories, dtype=torch.bool))
        none = torch.tensor([[torch.inf], [-torch.inf]])
        self.register_buffer("quota", none.repeat(1, categories))

    def update(self, z: Tensor, known: Tensor) -> None:
        """Add a batch: logits (B, C), and (2, B, C) which are known positives and negatives."""
        self.done.add_(self.step)
        self.n.add_(known.sum(1))
        self.score_sum.add_((known * z.sigmoid()).sum(1))

    def mean_scores(self) -> Tensor:
        """(2, C): the epoch so far counts as much as is done of it, the one before the rest.

        Where one of them lacks known labels, the other alone; NaN where both do.
        """
        has_any = self.n > 0
        weight = self.done.where(self.had_any, 1.0).where(has_any, 0.0)
        mean = weight * self._mean_so_far() + (1 - weight) * self.last_mean
        return mean.where(has_any | self.had_any, torch.nan)

    def _mean_so_far(self) -> Tensor:
        return self.score_sum / self.n.clamp(min=1)

    @torch.no_grad()
    def end(self, logits: Tensor, labels: Tensor) -> None:
        """The epoch has ended: (N, C) logits of all its images (NaN: not seen), their labels."""
        self.last_mean.copy_(self._mean_so_far().where(self.n > 0, self.last_mean))
        self.had_any.logical_or_(self.n > 0)
        unknown = logits.masked_fill(labels != 0, torch.nan)
        by_rank = quota_thresholds(unknown, positive_share(labels))
        self.quota.copy_(torch.stack([by_rank.pos, by_rank.neg]))
        for sums in (self.done, self.n, self.score_sum):
            sums.zero_()
        self.finished.add_(1)


def positive_share(labels: Tensor) -> Tensor:
    """(C,) share of positives among the known of (N, C) `labels`; NaN where none is known."""
    return (labels > 0).sum(0) / (labels != 0).sum(0)


def quota_thresholds(
    scores: Tensor,
    positive_share: Tensor,
    keep_positive: float = 1.0,
    keep_negative: float = 0.998,
) -> Thresholds:
    """Thresholds by rank (CAP, Xie et al., NeurIPS 2023): as many positives as are to be expected.

    Of the n entries of a category with a share π of positives, the ⌊κ₊ π n⌋ highest are at or above
    τ+, and the ⌊κ₋ (1 - π) n⌋ lowest at or below τ-. Where there are none, +inf and -inf.

    Args:
        scores: (N, C), in any monotone unit; NaN does not count.
        positive_share: π, (C,); NaN: no thresholds.
        keep_positive, keep_negative: κ₊ and κ₋, up to 1.
    """
    n = (~scores.isnan()).sum(0)
    share = positive_share.double()
    positives = (keep_positive * share * n).floor()
    negatives = (keep_negative * (1 - share) * n).floor()
    return Thresholds(pos=-kth_smallest(-scores, positives), neg=kth_smallest(scores, negatives))


def kth_smallest(scores: Tensor, k: Tensor) -> Tensor:
    """(C,) the k-th smallest of each column of `scores` (N, C); -inf where k, (C,), is 0 or NaN.

    NaN among the scores does not count; the largest, where there are fewer than k others.
    """
    rank = k.nan_to_num(0).long().minimum((~scores.isnan()).sum(0))
    found = scores.sort(0).values.gather(0, (rank - 1).clamp(min=0).unsqueeze(0)).squeeze(0)
    return found.where(rank > 0, -torch.inf)


def pseudo_labels(logits: Tensor, labels: Tensor, thresholds: Thresholds) -> Tensor:
    """(B, C) int8: +1, -1 or 0 for the unknown entries of `labels`, 0 for the known ones."""
    z = logits.detach().float()
    positive = z >= thresholds.pos
    negative = (z <= thresholds.neg) & ~positive
    return (positive.to(torch.int8) - negative.to(torch.int8)) * (labels == 0).to(torch.int8)
