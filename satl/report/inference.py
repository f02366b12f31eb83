"""Differences between methods from few seeds and one set of test images: interval and test.

A difference of the mAP of two methods, from trainings with the same seed and known labels, varies
because trainings vary and because other images could have been tested. The mean over S seeds and
K known ratios has the variance a + b:

    a   the part that seeds share, of the test images: the mean covariance of d_s and d_t over the
        resamples of the bootstrap, s != t, where d_s is the mean over the ratios with seed s
    b   the part that they do not share, of the trainings

Resampling the few seeds as well would be too confident: with three seeds, it misses a third of b.
docs/statistics.md tells more, tests/report/test_inference.py shows what this is worth.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from scipy.stats import chi2, t

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
ROUNDING = 1e-9  # of degrees of freedom that are a whole number but for it


@dataclass(frozen=True)
class Difference:
    """A mean difference, its 95 % interval, and the p-value that it is 0; NaN: not known."""

    mean: float
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan


def difference(values: ArrayLike, resampled: ArrayLike | None) -> Difference:
    """The mean of `values`, and how sure it is.

    Args:
        values: (S, K) differences, by seed and known ratio.
        resampled: (S, R) their means over the ratios under R resamples of the test images; None
            where they are not known. Then, and with a single seed, no interval and no p-value is
            made.
    """
    differences = np.asarray(values, dtype=float)
    mean = float(differences.mean()) if differences.size else np.nan
    if resampled is None or len(differences) < 2:
        return Difference(mean)
    images = image_variance(np.asarray(resampled, dtype=float))
    trainings, free = training_variance(differences)
    half = interval_half(images, trainings, free)
    return Difference(mean, mean - half, mean + half, p_value(mean, images, trainings, free))


def image_variance(resampled: NDArray[np.float64]) -> float:
    """The variance a, of the test images, from (S, R) means under resampled images."""
    count = len(resampled)
    covariance = np.cov(resampled)
    return max(0.0, float((covariance.sum() - np.trace(covariance)) / (count * (count - 1))))


def training_variance(values: NDArray[np.float64]) -> tuple[float, int]:
    """The variance b, of the trainings, of the mean of (S, K) differences; degrees of freedom.

    Trainings at different known ratios are counted as separate ones: K ratios have K variances
    over the seeds, of which the mean of all is the more certain. Where seeds differ by more than
    that, in their means over the ratios, ratios have something in common, and b is what the seeds
    say. (It is so by chance, too: then the interval is a little wide.)

    The degrees of freedom are those of Welch and Satterthwaite for unequal variances, from S - 1 to
    K (S - 1), rounded down. From few seeds they are rather too few, which makes up for ratios that
    are not quite separate.
    """
    seeds, ratios = values.shape
    variances = values.var(axis=0, ddof=1)
    separate = float(variances.sum()) / (ratios**2 * seeds)
    together = float(values.mean(axis=1).var(ddof=1)) / seeds
    squares = float((variances**2).sum())
    as_many_ratios = float(variances.sum()) ** 2 / squares if squares else 1.0
    return max(separate, together), int((seeds - 1) * as_many_ratios + ROUNDING)


def interval_half(images: float, trainings: float, free: int) -> float:
    """Half the width of the interval: Student's t with Satterthwaite's degrees of freedom.

    They are those of b (1 + 4 / free) in place of b, because b of few trainings is often too
    small, and then its share in the variance too. The factor is calibrated by simulation: with
    three seeds or more, 94.5 to 96 % of the intervals cover the difference, whatever a and b are.
    """
    if images + trainings == 0:
        return 0.0
    inflated = trainings * (1 + 4 / free)
    degrees = (images + inflated) ** 2 / (inflated**2 / free) if trainings else np.inf
    return float(t.ppf((1 + CONFIDENCE) / 2, degrees) * np.sqrt(images + trainings))


def p_value(mean: float, images: float, trainings: float, free: int) -> float:
    """Two-sided p of `mean` under sqrt(a) Z + sqrt(b) t (Behrens and Fisher).

    Z is normal and t Student's with `free` degrees of freedom. Far out, where corrections for
    many tests look, it keeps its level with three seeds, which Satterthwaite's formula does not.
    """
    if images + trainings == 0:
        return 1.0 if mean == 0 else 0.0
    squares, shares = _chi_squares(free)
    spread = np.sqrt(images + trainings * free / squares)
    return float(shares @ (2 * ndtr(-abs(mean) / spread)))


@cache
def _chi_squares(free: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of the chi-square distribution and their shares of it, which add up to 1.

    They are close where it is near 0, as small p-values come from there.
    """
    places = (np.arange(512) + 0.5) / 512
    shares = 3 * places**2 / len(places)
    return chi2.ppf(places**3, free), shares / shares.sum()


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p-values adjusted for their number (Holm, 1979); NaN stays NaN and does not count."""
    values = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    adjusted = np.full(values.shape, np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * factors))
    return adjusted
