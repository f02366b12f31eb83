"""How SATL reads thresholds off the score distributions of thresholds.py: one function per rule.

`rule: NAME` in a config chooses the function of that name.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from satl.config.explain import suggestion
from satl.thresholds import HISTOGRAM_BINS, HISTOGRAM_RANGE, Moments, ScoreStatistics, Thresholds

MIN_GAP = 0.01  # below this distance of the means a category gets no thresholds
# In the decayed histogram, a score of the last epoch weighs at least (1 - 1/steps)^(steps - 1),
# which is more than this, and a lone one from before that less.
WEIGHT_IN_EPOCH = math.exp(-1)
HANDOVER_FLOOR, HANDOVER_STEP, HANDOVER_LAST = 0.95, 0.025, 0.6

Rule = Callable[[ScoreStatistics, float], Thresholds]
RULES: dict[str, Rule] = {}


def threshold_rule(function: Rule) -> Rule:
    """Make a function a rule under its own name (less a `_` at its end, as of `global_`).

    It is given the statistics of all categories and q, the certainty that is asked for.
    """
    RULES[function.__name__.removesuffix("_")] = function
    return function


def known_rule(name: str) -> str:
    """`name` itself. Raises ValueError, with a suggestion, if there is no such rule."""
    if name not in RULES:
        raise ValueError(
            f"unknown rule {name!r}{suggestion(name, RULES)}; the rules are {', '.join(RULES)}"
        )
    return name


@threshold_rule
def posterior(statistics: ScoreStatistics, q: float) -> Thresholds:
    """Where the posterior of a positive reaches q, and the likelihood of a negative does.

    No prior on the negative side, on purpose: pseudo-negatives would swallow hidden positives.
    """
    return gaussian_thresholds(statistics.moments(), q, prior_pos=True, prior_neg=False)


@threshold_rule
def crossing(statistics: ScoreStatistics, q: float) -> Thresholds:
    """Where the posteriors cross, whatever q: each entry gets the likelier label."""
    return gaussian_thresholds(statistics.moments(), 0.5, prior_pos=True, prior_neg=True)


@threshold_rule
def symmetric(statistics: ScoreStatistics, q: float) -> Thresholds:
    """Where the posterior reaches q, on both sides."""
    return gaussian_thresholds(statistics.moments(), q, prior_pos=True, prior_neg=True)


@threshold_rule
def likelihood(statistics: ScoreStatistics, q: float) -> Thresholds:
    """Where the posterior would reach q if both labels were equally frequent."""
    return gaussian_thresholds(statistics.moments(), q, prior_pos=False, prior_neg=False)


@threshold_rule
def means(statistics: ScoreStatistics, q: float) -> Thresholds:
    """The means of the two distributions, whatever q."""
    moments = statistics.moments()
    gap = moments.mu_pos - moments.mu_neg
    return where_separable(gap, moments.mu_pos, moments.mu_neg)


@threshold_rule
def precision(statistics: ScoreStatistics, q: float) -> Thresholds:
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


@threshold_rule
def global_(statistics: ScoreStatistics, q: float) -> Thresholds:
    """`posterior` of all categories together: one pair of thresholds for all."""
    one = gaussian_thresholds(statistics.pooled_moments(), q, prior_pos=True, prior_neg=False)
    categories = statistics.n.shape[1]
    return Thresholds(pos=one.pos.expand(categories), neg=one.neg.expand(categories))


@threshold_rule
def fixed(statistics: ScoreStatistics, q: float) -> Thresholds:
    """A score of q and of 1 - q, the same for all categories and from the first epoch on."""
    pos = torch.full(statistics.n.shape[1:], math.log(q / (1 - q)), device=statistics.n.device)
    return Thresholds(pos=pos, neg=-pos)


@threshold_rule
def midrange(statistics: ScoreStatistics, q: float) -> Thresholds:
    """½ (largest + smallest score) of the known labels of a side, whatever q (DiCaP, AAAI 2026).

    Of those in the last epoch's steps; extremes are read off the histogram, to 0.05 in logits.
    """
    low, high = HISTOGRAM_RANGE
    width = (high - low) / HISTOGRAM_BINS
    centres = torch.arange(HISTOGRAM_BINS, device=statistics.n.device) * width + low + width / 2
    filled = statistics.histogram >= WEIGHT_IN_EPOCH
    smallest = torch.where(filled, centres, torch.inf).amin(2)
    largest = torch.where(filled, centres, -torch.inf).amax(2)
    pos, neg = torch.logit((smallest.sigmoid() + largest.sigmoid()) / 2)
    both = filled.any(2).all(0)
    moments = statistics.moments()
    return where_separable((moments.mu_pos - moments.mu_neg).where(both, 0), pos, neg)


@threshold_rule
def handover(statistics: ScoreStatistics, q: float) -> Thresholds:
    """Mean scores, last epoch's handing over to this one's; whatever q (CALDNR, TMM 2024).

    m± = (b/T)·(mean of the b steps so far) + (1 - b/T)·(mean of the epoch before), T steps in all.
    τ+ is m+, but at least a floor, which falls from 0.95 by 0.025 an epoch to 0.6; τ- mirrors it:
    m-, but at most one less the floor.
    """
    mean_pos, mean_neg = statistics.epoch.mean_scores()
    floor = (HANDOVER_FLOOR - HANDOVER_STEP * statistics.epoch.finished).clamp(min=HANDOVER_LAST)
    pos, neg = torch.logit(mean_pos.maximum(floor)), torch.logit(mean_neg.minimum(1 - floor))
    return where_separable(mean_pos - mean_neg, pos, neg)


@threshold_rule
def quota(statistics: ScoreStatistics, q: float) -> Thresholds:
    """So high that as many unknown entries are beyond them as known labels suggest, whatever q.

    Of the unknown entries in the epoch before, the share that is positive among the known ones is
    at or above τ+, and 0.998 of the others at or below τ- (`quota_thresholds`, as `cap` does).
    """
    pos, neg = statistics.epoch.quota
    return Thresholds(pos=pos, neg=neg)


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
    return where_separable(gap, pos, neg)


def where_separable(gap: Tensor, pos: Tensor, neg: Tensor) -> Thresholds:
    """(C,) thresholds where the `gap` of the means is above 0.01, else +inf and -inf."""
    separable = gap > MIN_GAP
    pos = torch.where(separable, pos, torch.inf)
    neg = torch.where(separable, torch.minimum(neg, pos), -torch.inf)
    return Thresholds(pos=pos, neg=neg)
