"""Differences between methods from few seeds and one set of test images: interval and test.

A difference d_s of the mAP of two methods, from trainings with the same seed s, varies because
trainings vary and because other images could have been tested. Over S seeds, its mean has the
variance a + b:

    a   the part that seeds share, of the test images: the mean covariance of d_s and d_t over the
        resamples of the bootstrap, s != t
    b   the part that they do not share: var(d_s) / S, with S - 1 degrees of freedom

Resampling the few seeds as well would be too confident: with three seeds, it misses a third of b.
docs/statistics.md tells more, tests/report/test_inference.py shows what this is worth.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm, t

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Difference:
    """A mean difference, its 95 % interval, and the p-value that it is 0; NaN: not known."""

    mean: float
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan


def difference(by_seed: ArrayLike, resampled: ArrayLike | None) -> Difference:
    """The mean of `by_seed`, and how sure it is.

    Args:
        by_seed: (S,) differences, one per seed.
        resampled: (S, R) the same under R resamples of the test images; None where they are not
            known. Then, and with a single seed, no interval and no p-value is made.
    """
    values = np.asarray(by_seed, dtype=float)
    mean = float(values.mean()) if values.size else np.nan
    if resampled is None or len(values) < 2:
        return Difference(mean)
    images, seeds = variance_parts(values, np.asarray(resampled, dtype=float))
    free = len(values) - 1
    half = interval_half(images, seeds, free)
    return Difference(mean, mean - half, mean + half, p_value(mean, images, seeds, free))


def variance_parts(
    by_seed: NDArray[np.float64], resampled: NDArray[np.float64]
) -> tuple[float, float]:
    """The variances a, of the test images, and b, of the trainings, of the mean over seeds."""
    count = len(by_seed)
    covariance = np.cov(resampled)
    shared = (covariance.sum() - np.trace(covariance)) / (count * (count - 1))
    return max(0.0, float(shared)), float(by_seed.var(ddof=1)) / count


def interval_half(images: float, seeds: float, free: int) -> float:
    """Half the width of the interval: Student's t with Satterthwaite's degrees of freedom.

    They are those of b (1 + 4 / free) in place of b, because b of few seeds is often too small,
    and then its share in the variance too. The factor is calibrated by simulation: with three
    seeds or more, 94.5 to 96 % of the intervals cover the difference, whatever a and b are.
    """
    if images + seeds == 0:
        return 0.0
    inflated = seeds * (1 + 4 / free)
    degrees = (images + inflated) ** 2 / (inflated**2 / free) if seeds else np.inf
    return float(t.ppf((1 + CONFIDENCE) / 2, degrees) * np.sqrt(images + seeds))


def p_value(mean: float, images: float, seeds: float, free: int) -> float:
    """Two-sided p of `mean` under sqrt(a) Z + sqrt(b) t (Behrens and Fisher).

    Z is normal and t Student's with `free` degrees of freedom. Far out, where corrections for
    many tests look, it keeps its level with three seeds, which Satterthwaite's formula does not.
    """
    if images + seeds == 0:
        return 1.0 if mean == 0 else 0.0
    spread = np.sqrt(images + seeds * free / _chi_squares(free))
    return float((2 * norm.sf(abs(mean) / spread)).mean())


@cache
def _chi_squares(free: int) -> NDArray[np.float64]:
    """Values that stand for equal shares of the chi-square distribution."""
    return chi2.ppf((np.arange(8192) + 0.5) / 8192, free)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p-values adjusted for their number (Holm, 1979); NaN stays NaN and does not count."""
    values = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    adjusted = np.full(values.shape, np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * factors))
    return adjusted
