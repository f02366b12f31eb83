"""mAP under resampled test images: how much of it is owed to the images that happen to be tested.

The bootstrap (Efron, 1979) draws as many images with replacement as there are; an image then
counts as often as it was drawn. The draws depend on the number of images alone, so that they are
the same for all runs on a data set, and differences between runs are paired by image.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from satl.core.errors import UserError

CHUNK = 100  # resamples at a time: bounds the memory, and fixes the order of the draws
Floats = NDArray[np.float32]


def resampled_map(scores: ArrayLike, targets: ArrayLike, resamples: int) -> Floats:
    """(resamples,) mAP, a share, of `scores` (N, C) under resampled images.

    The mean is over the categories that have positives among the images drawn; NaN where none
    has. The first resamples are the same whatever their number.

    Args:
        scores, targets: as of `satl.metrics.average_precision`.
        resamples: how many.

    Raises:
        UserError: fewer than two resamples.
    """
    if resamples < 2:
        raise UserError(f"{resamples} resamples say nothing of uncertainty; take 1000, say")
    rankings = _rankings(np.asarray(scores), np.asarray(targets) > 0)
    parts = []
    for weights in image_weights(len(np.asarray(scores)), resamples):
        ap = np.stack([_weighted_ap(*ranking, weights) for ranking in rankings])
        defined = ~np.isnan(ap)
        total = np.where(defined, ap, 0).sum(axis=0)
        count = defined.sum(axis=0)
        parts.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    return np.concatenate(parts).astype(np.float32)


def image_weights(images: int, resamples: int) -> Iterator[Floats]:
    """Chunks (images, up to CHUNK): how often each image was drawn in each resample."""
    random = np.random.default_rng(0)
    for start in range(0, resamples, CHUNK):
        drawn = random.integers(images, size=(CHUNK, images)) + np.arange(CHUNK)[:, None] * images
        counts = np.bincount(drawn.ravel(), minlength=CHUNK * images).reshape(CHUNK, images)
        yield np.ascontiguousarray(counts[: resamples - start].T, dtype=np.float32)


def weighted_average_precision(scores: ArrayLike, targets: ArrayLike, weights: ArrayLike) -> Floats:
    """(C, R) average precision of images that count several times.

    Args:
        scores, targets: (N, C), as of `satl.metrics.average_precision`, which gives the same for
            images that are repeated as often as they count.
        weights: (N, R), how often each image counts.
    """
    counts = np.asarray(weights, dtype=np.float32)
    rankings = _rankings(np.asarray(scores), np.asarray(targets) > 0)
    return np.stack([_weighted_ap(*ranking, counts) for ranking in rankings])


def _rankings(scores: NDArray, positive: NDArray[np.bool_]) -> list[tuple[csr_array, csr_array]]:
    return [_segments(scores[:, c], positive[:, c]) for c in range(scores.shape[1])]


def _segments(scores: NDArray, positive: NDArray[np.bool_]) -> tuple[csr_array, csr_array]:
    """Which images, and which positives, lie between two neighbouring scores of positives.

    Two (K, N) matrices of zeros and ones for the K different scores of positives, the highest
    first. Images that score below all positives are in no row; precision does not depend on them.
    """
    levels = np.unique(scores[positive])
    row = len(levels) - np.searchsorted(levels, scores, side="right")
    return _indicator(row, len(levels), row < len(levels)), _indicator(row, len(levels), positive)


def _indicator(row: NDArray, rows: int, where: NDArray[np.bool_]) -> csr_array:
    columns = np.flatnonzero(where)
    ones = np.ones(len(columns), dtype=np.float32)
    return csr_array((ones, (row[columns], columns)), shape=(rows, len(row)))


def _weighted_ap(images: csr_array, positives: csr_array, weights: Floats) -> Floats:
    """(R,) AP of one category: the mean precision at its positives; NaN without any."""
    hits = positives @ weights
    reached = np.cumsum(images @ weights, axis=0)
    found = np.cumsum(hits, axis=0)
    # Where nothing is reached, there is no hit either, and the product is 0.
    precision = found / np.maximum(reached, 1)
    total = hits.sum(axis=0)
    summed = (precision * hits).sum(axis=0)
    return np.where(total > 0, summed / np.maximum(total, 1), np.nan)
