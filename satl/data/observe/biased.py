"""Not known at random: whether a label is known depends on what it says, and of what category."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from satl.data.observe.base import DrawnObservation

if TYPE_CHECKING:
    import numpy as np

    from satl.data.table import LabelTable


class BiasedObservation(DrawnObservation):
    """Labels that are known in proportion to a weight, `known_ratio` of them on average.

    A label of weight w is known with probability min(1, s w); s makes the mean `known_ratio`.
    Positives weigh `positives`, negatives 1, both times (n / mean of all n) ** `frequency` for a
    category of n positives. With the defaults these are the masks of `random`, bit for bit.
    """

    kind: Literal["biased"] = "biased"
    known_ratio: float = Field(gt=0, le=1, description="share of all labels that is known")
    positives: float = Field(
        1.0, gt=0, description="how many times as often a positive is known as a negative"
    )
    frequency: float = Field(
        0.0,
        ge=-4,
        le=4,
        description="1: the labels of a category are known in proportion to its positives; 0: all "
        "categories alike; below 0: rare ones more often",
    )

    def mask(self, table: "LabelTable") -> "np.ndarray":
        """One uniform number per label, as for `random`, compared with its own probability."""
        import numpy as np

        probability = scaled_to_mean(self._weights(table.labels), self.known_ratio)
        drawn = np.random.RandomState(self.drawn_with).random_sample(table.labels.shape)
        return drawn < probability

    def _weights(self, labels: "np.ndarray") -> "np.ndarray":
        """(N, C), in proportion to which labels are known."""
        import numpy as np

        # A category without positives counts as if it had one: no power of 0 is below 0.
        count = np.maximum((labels > 0).sum(0), 1)
        of_category = (count / count.mean()) ** self.frequency
        return np.where(labels > 0, self.positives, 1.0) * of_category


def scaled_to_mean(weights: "np.ndarray", mean: float) -> "np.ndarray":
    """min(1, s w) of positive `weights` w, with the s that gives it this `mean`, in (0, 1]."""
    import numpy as np

    values, counts = np.unique(weights, return_counts=True)
    # Between two neighbouring values of 1 / s the mean is linear in s: so many of the largest
    # weights are cut at 1, and the others share what these leave of the sum.
    cut = np.concatenate([[0], np.cumsum(counts[::-1])])[:-1]
    rest = np.cumsum(values * counts)[::-1]
    scales = (mean * weights.size - cut) / rest
    # The first number of cut weights under which no other one exceeds 1.
    fits = np.flatnonzero(scales * values[::-1] <= 1)
    return np.minimum(1.0, weights * scales[fits[0]]) if fits.size else np.ones_like(weights)
