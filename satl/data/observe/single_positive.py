"""So many positives and negatives of each image: with the defaults, one positive and no more."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from satl.data.observe.base import DrawnObservation

if TYPE_CHECKING:
    import numpy as np

    from satl.data.table import LabelTable


class SinglePositiveObservation(DrawnObservation):
    """One positive per image (Cole et al., CVPR 2021), or other numbers of labels per image."""

    kind: Literal["single_positive"] = "single_positive"
    positives: int = Field(1, ge=1, description="known positives per image, if it has so many")
    negatives: int = Field(0, ge=0, description="known negatives per image, if it has so many")
    seed: int | None = Field(
        1200, ge=0, lt=2**32, description="of the mask; 1200 as published, whatever `mask_seed` is"
    )

    def mask(self, table: "LabelTable") -> "np.ndarray":
        """The published masks; see `satl.data.splits.uniform_observed`."""
        from satl.data.splits import uniform_observed

        return uniform_observed(table.labels, self.positives, self.negatives, self.drawn_with) != 0
