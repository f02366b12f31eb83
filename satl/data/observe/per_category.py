"""So many positives and negatives of each category (Ben-Baruch et al., CVPR 2022)."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from satl.data.observe.base import DrawnObservation

if TYPE_CHECKING:
    import numpy as np

    from satl.data.table import LabelTable


class PerCategoryObservation(DrawnObservation):
    """The same number of labels for every category, common or rare."""

    keeps_shares: ClassVar[bool] = False

    kind: Literal["per_category"] = "per_category"
    positives: int = Field(ge=1, description="known positives per category, if it has so many")
    negatives: int = Field(ge=0, description="known negatives per category, if it has so many")

    def mask(self, table: "LabelTable") -> "np.ndarray":
        """Drawn without replacement, category by category, positives first."""
        import numpy as np

        random = np.random.default_rng(self.drawn_with)
        known = np.zeros(table.labels.shape, dtype=bool)
        for column, kept in zip(table.labels.T, known.T, strict=True):
            for sign, count in ((1, self.positives), (-1, self.negatives)):
                rows = random.permutation(np.flatnonzero(column == sign))
                kept[rows[:count]] = True
        return known
