"""Nothing is hidden: the labels as the data set has them, unknown ones included."""

from typing import TYPE_CHECKING, Literal

from satl.data.observe.base import Observation

if TYPE_CHECKING:
    import numpy as np

    from satl.data.table import LabelTable


class AsIsObservation(Observation):
    """The labels of the data set as they are; what is unknown has no ground truth behind it."""

    kind: Literal["as_is"] = "as_is"

    def mask(self, table: "LabelTable") -> "np.ndarray":
        """What the table knows."""
        return table.labels != 0
