"""Of each image the positives that stand out: large objects, or those near the centre."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from satl.core.errors import UserError
from satl.data.observe.base import DrawnObservation

if TYPE_CHECKING:
    import numpy as np

    from satl.data.table import LabelTable


class SalientObservation(DrawnObservation):
    """One positive per image, as annotators choose it who do not look at everything alike.

    With the defaults, the biases of size and location of Arroyo, Perona and Cole, "Understanding
    Label Bias in Single Positive Multi-Label Learning" (2023): of an image's objects, one is drawn
    with a probability in proportion to its area, or to 1 / d, and its category is known. d is the
    distance between the centres of box and image, here at least one pixel. Other masks are drawn
    with each seed than theirs.
    """

    needs_objects: ClassVar[bool] = True

    kind: Literal["salient"] = "salient"
    by: Literal["size", "centre"] = Field(
        description="size: in proportion to the area of the objects; centre: to 1 / their "
        "distance from the centre of the image"
    )
    positives: int = Field(1, ge=1, description="known positives per image, if it has so many")
    strength: float = Field(
        1.0, ge=0, le=4, description="power of a category's weight; 0: all positives alike"
    )

    def mask(self, table: "LabelTable") -> "np.ndarray":
        """Positives of an image drawn without replacement, in proportion to their weights.

        Of independent exponential waiting times with the weights as rates, the shortest ones are
        such a draw (Efraimidis and Spirakis, 2006).
        """
        import numpy as np

        rows, columns = np.nonzero(table.labels > 0)
        random = np.random.default_rng(self.drawn_with)
        waiting = random.standard_exponential(len(rows)) / self._weights(table, rows, columns)
        order = np.lexsort((waiting, rows))
        first = np.searchsorted(rows, rows)  # where the image of each begins, as rows ascend
        chosen = order[np.arange(len(rows)) - first < self.positives]
        known = np.zeros(table.labels.shape, dtype=bool)
        known[rows[chosen], columns[chosen]] = True
        return known

    def _weights(
        self, table: "LabelTable", rows: "np.ndarray", columns: "np.ndarray"
    ) -> "np.ndarray":
        """(P,), of the positives at `rows` and `columns`; all above 0."""
        import numpy as np

        if table.objects is None:
            raise UserError(
                f"{table.folder}: no boxes of objects, on which `observe` of kind salient "
                "depends: each annotation needs a `bbox`, and each image `width` and `height`"
            )
        name = {"size": "area", "centre": "closeness"}[self.by]
        weights = table.objects.values_at(rows, columns, name) ** self.strength
        # LVIS has positives without a box: they come last.
        return np.maximum(weights, 1e-300)
