"""Files of masks: which labels are known, to be handed on, read back and compared.

An `.npz` with `known` (packed bits), `shape` (N, C), the names of images and categories in their
order, `info` (how the mask was made), and `sha256` of all but the latter.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from satl.core.errors import UserError
from satl.core.files import read_arrays, write_arrays
from satl.data.table import LabelTable


@dataclass(frozen=True)
class Mask:
    """Which labels of which images are known, (N, C) bool, and how it was made."""

    known: np.ndarray
    file_names: tuple[str, ...]
    categories: tuple[str, ...]
    info: dict[str, Any]

    @classmethod
    def of(cls, observed: LabelTable) -> "Mask":
        """What an observed table knows."""
        about = ("known_ratio", "observe", "realised_known_ratio", "mask_sha256")
        info = {name: observed.info[name] for name in about if name in observed.info}
        return cls(observed.labels != 0, observed.file_names, observed.categories, info)

    def digest(self) -> str:
        """sha256 over images, categories and what is known."""
        names = json.dumps([self.file_names, self.categories]).encode()
        return hashlib.sha256(names + np.packbits(self.known).tobytes()).hexdigest()

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        write_arrays(
            path,
            known=np.packbits(self.known),
            shape=np.array(self.known.shape),
            file_names=np.array(self.file_names, dtype=np.str_),
            categories=np.array(self.categories, dtype=np.str_),
            info=np.array(json.dumps(self.info)),
            sha256=np.array(self.digest()),
        )

    @classmethod
    def load(cls, path: Path) -> "Mask":
        """Raises UserError where `path` is missing, is not a mask, or is not what was written."""
        arrays = read_arrays(path, "mask")
        try:
            rows, columns = arrays["shape"].tolist()
            bits = np.unpackbits(arrays["known"], count=rows * columns)
            mask = cls(
                bits.reshape(rows, columns).astype(bool),
                tuple(arrays["file_names"].tolist()),
                tuple(arrays["categories"].tolist()),
                json.loads(str(arrays["info"])),
            )
            sha256 = str(arrays["sha256"])
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(
                f"{path}: not a mask ({error}); `satl split --mask-out` writes one"
            ) from error
        if sha256 != mask.digest():
            raise UserError(f"{path}: damaged or edited: its content is not that of its sha256")
        return mask

    def of_images(self, table: LabelTable, path: Path) -> "Mask":
        """The part of the mask that is of the table's images, which may be some of its images.

        Images held out of training, say, are not in the table.

        Raises:
            UserError: the mask at `path` lacks an image, or has other categories.
        """
        row = {name: index for index, name in enumerate(self.file_names)}
        lacking = [name for name in table.file_names if name not in row]
        if lacking:
            raise UserError(
                f"{path}: a mask of other images: it lacks {len(lacking)} of the table's "
                f"{len(table.file_names)}, first {lacking[0]}"
            )
        rows = [row[name] for name in table.file_names]
        part = replace(self, known=self.known[rows], file_names=table.file_names)
        part.check_is_of(table, path)
        return part

    def check_is_of(self, table: LabelTable, path: Path) -> None:
        """Raises UserError, naming a difference, unless images and categories are the table's."""
        for what, own, others in (
            ("images", self.file_names, table.file_names),
            ("categories", self.categories, table.categories),
        ):
            if own != others:
                raise UserError(f"{path}: a mask of other {what}: {_difference(own, others)}")

    def check_equals(self, other: "Mask", path: Path) -> None:
        """Raises UserError, saying how many labels differ, unless both know the same.

        Args:
            other: a mask of the same images and categories.
            path: of this one, for the message.
        """
        different = self.known != other.known
        if different.any():
            row, column = np.argwhere(different)[0]
            raise UserError(
                f"{path}: another mask: {different.sum()} of {different.size} labels are known in "
                f"one of the two alone, first {self.categories[column]!r} of "
                f"{self.file_names[row]} (made by {self.info or 'nobody knows what'} and by "
                f"{other.info})"
            )


def _difference(own: tuple[str, ...], others: tuple[str, ...]) -> str:
    if len(own) != len(others):
        return f"{len(own)}, but the table has {len(others)}"
    place = next(i for i, pair in enumerate(zip(own, others, strict=True)) if pair[0] != pair[1])
    return f"number {place + 1} is {own[place]!r}, in the table {others[place]!r}"
