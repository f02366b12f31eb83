"""Known at random: each label with the same probability, whatever it says."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from satl.data.observe.base import DrawnObservation

if TYPE_CHECKING:
    import numpy as np

    from satl.data.table import LabelTable


class RandomObservation(DrawnObservation):
    """Known at random: what an entry of `known_ratios` is short for."""

    kind: Literal["random"] = "random"
    known_ratio: float = Field(gt=0, le=1, description="probability that a label is known")

    def mask(self, table: "LabelTable") -> "np.ndarray":
        """The published masks; see `satl.data.splits.known_mask`."""
        from satl.data.splits import known_mask

        return known_mask(table.labels.shape, self.known_ratio, self.drawn_with)
