"""Partial labels as published: which labels are known, and what is left of a table of them."""

import numpy as np

from satl.core.errors import UserError
from satl.core.labels import NEGATIVE, POSITIVE, UNKNOWN
from satl.data.observe.random import RandomObservation
from satl.data.table import LabelTable


def known_mask(shape: tuple[int, int], ratio: float, seed: int = 0) -> np.ndarray:
    """(N, C) bool, True where a label is known.

    One uniform number per label is compared with the ratio, so that the labels known at 10 %
    are among those known at 20 %, and so on. With seed 0 these are the masks of the published
    partial labels (SST, AAAI 2022), bit for bit.

    Raises:
        UserError: the ratio is outside (0, 1].
    """
    check_ratio(ratio)
    # The legacy generator, because the published masks were drawn with it.
    return np.random.RandomState(seed).random_sample(shape) < ratio


def check_ratio(ratio: float) -> None:
    """Raises UserError unless `ratio` is in (0, 1]."""
    if not 0 < ratio <= 1:
        raise UserError(f"known ratio {ratio} is outside (0, 1]")


def observed_labels(labels: np.ndarray, ratio: float, seed: int = 0) -> np.ndarray:
    """`labels` (N, C) with a random share of 1 - `ratio` set to 0 (unknown), as int8."""
    labels = np.asarray(labels)
    return np.where(known_mask(labels.shape, ratio, seed), labels, UNKNOWN).astype(np.int8)


def uniform_observed(
    labels: np.ndarray, positives: int, negatives: int, seed: int = 1200
) -> np.ndarray:
    """`labels` (N, C), as int8, of which each image keeps so many of each kind, the rest 0.

    One positive and no negative is the single-positive setting (Cole et al., CVPR 2021), whose
    published masks have seed 1200; these are the same bit for bit. An image that has fewer labels
    of a kind keeps all of them.

    Raises:
        UserError: a number is negative.
    """
    if positives < 0 or negatives < 0:
        raise UserError(
            f"{positives} positives and {negatives} negatives per image: neither can be negative"
        )
    labels = np.asarray(labels)
    observed = np.full(labels.shape, UNKNOWN, dtype=np.int8)
    # The legacy generator and the order of its draws, because the published masks have them.
    random = np.random.RandomState(seed)
    for row, kept in zip(labels, observed, strict=True):
        for sign, count in ((POSITIVE, positives), (NEGATIVE, negatives)):
            columns = np.flatnonzero(row == sign)
            random.shuffle(columns)
            kept[columns[:count]] = sign
    return observed


def split(table: LabelTable, ratio: float, seed: int = 0) -> LabelTable:
    """`table` with labels known at random; see `satl.data.observe.base.Observation.observe`.

    Raises:
        UserError: the ratio is outside (0, 1], `table` is a split already, or no positive label is
            left to learn from.
    """
    check_ratio(ratio)
    return RandomObservation(known_ratio=ratio, seed=seed).observe(table, ratio)
