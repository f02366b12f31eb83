"""How SATL reads thresholds off the score distributions of thresholds.py: one function per rule.

`rule: NAME` in a config chooses the function of that name.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from satl.config.explain import suggestion
from satl.thresholds import HISTOGRAM_BINS, HISTOGRAM_RANGE, Moments, ScoreStatistics, Thresholds

MIN_GAP = 0.01  # below this distance of the means a category gets no thresholds

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
