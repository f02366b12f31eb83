"""How large the objects in images are, and how near to the centre: what annotators notice first.

Formats whose annotations have boxes put this into their label tables. It tells which labels are
positive, so that it goes where labels go, and no further.
"""

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Objects:
    """One entry per image and category with any object, in the order of images, then categories.

    Attributes:
        rows, columns: (P,) int32, of the label table.
        area: (P,) float32, of these objects together, in pixels².
        closeness: (P,) float32, the sum of 1 / d of these objects; d is the distance of the
            centre of an object's box from the centre of the image, in pixels, at least 1.
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    area: NDArray[np.float32]
    closeness: NDArray[np.float32]

    def select(self, kept: NDArray) -> "Objects":
        """Those of the images `kept`, numbered in this order."""
        place = np.full(max(self.rows.max(initial=-1), kept.max(initial=-1)) + 1, -1, np.int32)
        place[kept] = np.arange(len(kept))
        rows = place[self.rows]
        order = np.lexsort((self.columns, rows))
        order = order[rows[order] >= 0]
        return Objects(rows[order], self.columns[order], self.area[order], self.closeness[order])

    def values_at(self, rows: NDArray, columns: NDArray, name: str) -> NDArray[np.float64]:
        """`area` or `closeness` of pairs of image and category; 0 where there is no object."""
        width = int(max(self.columns.max(initial=0), columns.max(initial=0))) + 1
        keys = self.rows.astype(np.int64) * width + self.columns
        wanted = rows.astype(np.int64) * width + columns
        places = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        if not len(keys):
            return np.zeros(len(wanted))
        values = getattr(self, name)[places].astype(np.float64)
        return np.where(keys[places] == wanted, values, 0.0)

    def arrays(self) -> dict[str, NDArray]:
        """By the names under which a label table's file has them."""
        return {f"object_{name}": getattr(self, name) for name in FIELDS}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray]) -> "Objects | None":
        """What `arrays` has written; None where there are none."""
        names = [f"object_{name}" for name in FIELDS]
        if not set(names) <= arrays.keys():
            return None
        return cls(*(arrays[name] for name in names))


FIELDS = ("rows", "columns", "area", "closeness")


class ObjectCounter:
    """Collects objects one by one, as they are read; they take 24 bytes each."""

    def __init__(self) -> None:
        self._rows, self._columns = array("i"), array("i")
        self._area, self._closeness = array("d"), array("d")

    def add(self, row: int, column: int, box: Box, size: tuple[float, float], area: float) -> None:
        """One object of image `row` and category `column`.

        Args:
            row, column: of the label table.
            box: left, top, width, height, in pixels.
            size: width and height of the image.
            area: of the object or of its box.
        """
        left, top, width, height = box
        across, down = left + width / 2 - size[0] / 2, top + height / 2 - size[1] / 2
        self._rows.append(row)
        self._columns.append(column)
        self._area.append(area)
        self._closeness.append(1 / max(1.0, (across**2 + down**2) ** 0.5))

    def objects(self) -> Objects:
        """All of them, summed by image and category."""
        pairs = np.stack([np.array(self._rows, np.int32), np.array(self._columns, np.int32)], 1)
        unique, place = np.unique(pairs, axis=0, return_inverse=True)
        sums = [
            np.bincount(place.ravel(), np.array(values), len(unique)).astype(np.float32)
            for values in (self._area, self._closeness)
        ]
        return Objects(unique[:, 0], unique[:, 1], *sums)
