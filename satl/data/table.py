"""The label table: which categories each image of a split has. One `.npz` file on disk."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from satl.core.errors import UserError
from satl.core.files import read_arrays, write_arrays
from satl.core.labels import NEGATIVE, POSITIVE, UNKNOWN, check_label_code
from satl.data.objects import Objects


@dataclass(frozen=True)
class LabelTable:
    """Images × categories, as (N, C) int8 labels in the project's code (+1, -1, 0).

    The order of images is that of the source annotations, and fixed: masks depend on it.
    `info` holds JSON-like facts about where the table comes from. A list of images without
    labels (what training may know of the test set) is a table of zeros. `file_digests` are the
    sha256 of the images' files as `satl images` found them, (N, 32) uint8; None before that.
    `objects` are sizes and places of what the labels say, of formats with boxes; only masks use it.
    """

    folder: str
    file_names: tuple[str, ...]
    image_ids: np.ndarray
    categories: tuple[str, ...]
    labels: np.ndarray
    info: dict[str, Any] = field(default_factory=dict)
    file_digests: np.ndarray | None = None
    objects: Objects | None = None

    def __post_init__(self) -> None:
        shape = (len(self.file_names), len(self.categories))
        if self.labels.shape != shape or self.labels.dtype != np.int8:
            raise ValueError(f"labels must be int8 of shape {shape}, found {self.labels.shape}")
        if self.file_digests is not None and self.file_digests.shape != (shape[0], 32):
            raise ValueError(f"file digests must be of shape {(shape[0], 32)}")
        check_label_code(self.labels, "label table")

    def paths(self) -> list[Path]:
        """The image files, in order."""
        return [Path(self.folder, name) for name in self.file_names]

    def without_labels(self) -> "LabelTable":
        """The same images with every label unknown, and nothing else that tells of labels."""
        unknown = np.full_like(self.labels, UNKNOWN)
        return replace(self, labels=unknown, info={"labels": "withheld"}, objects=None)

    def check_is_ground_truth(self, what: str) -> None:
        """Raises UserError if labels were hidden here; unknown ones may be the data set's own.

        Args:
            what: names the table in the message.
        """
        if "mask_sha256" in self.info or not self.labels.any():
            raise UserError(
                f"{what} is a split or a list of images: its labels were hidden here. Give the "
                "full label table, as `satl images --out` or `satl table --out` wrote it"
            )

    def annotated(self) -> "LabelTable":
        """The images with a positive label; `info` says how many others were dropped.

        The published partial labels keep them, all-negative; several later papers drop them.

        Raises:
            UserError: no image is left.
        """
        kept = np.flatnonzero((self.labels == POSITIVE).any(1))
        if not kept.size:
            raise UserError(
                f"{self.folder}: no image has any of the {len(self.categories)} categories"
            )
        dropped = len(self.file_names) - len(kept)
        return replace(self.select(kept), info={**self.info, "images_dropped": dropped})

    def select(self, rows: np.ndarray) -> "LabelTable":
        """The images of these rows alone."""
        return replace(
            self,
            file_names=tuple(self.file_names[row] for row in rows),
            image_ids=self.image_ids[rows],
            labels=self.labels[rows],
            file_digests=None if self.file_digests is None else self.file_digests[rows],
            objects=None if self.objects is None else self.objects.select(rows),
        )

    def counts(self) -> dict[str, Any]:
        """Facts that a person checks at a glance."""
        positives = (self.labels == POSITIVE).sum(0)
        return {
            "images": len(self.file_names),
            "categories": len(self.categories),
            "positive_labels": int(positives.sum()),
            "negative_labels": int((self.labels == NEGATIVE).sum()),
            "unknown_labels": int((self.labels == UNKNOWN).sum()),
            "images_without_positives": int((self.labels != POSITIVE).all(1).sum()),
            "categories_without_positives": [
                name for name, count in zip(self.categories, positives, strict=True) if not count
            ],
        }

    def digest(self) -> str:
        """sha256 over images, categories and labels: the same table, the same digest.

        The folder does not count: a data set may be moved. Nor do `objects`: what they change is
        which labels are known.
        """
        names = json.dumps([self.image_ids.tolist(), self.file_names, self.categories]).encode()
        return hashlib.sha256(names + self.labels.tobytes()).hexdigest()

    @property
    def images_sha256(self) -> str | None:
        """sha256 over the content of all image files, in order, wherever they lie.

        None where `satl images` has not read them yet.
        """
        if self.file_digests is None:
            return None
        return hashlib.sha256(self.file_digests.tobytes()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the table as one `.npz`, whole or not at all."""
        digests = {} if self.file_digests is None else {"file_digests": self.file_digests}
        write_arrays(
            path,
            labels=self.labels,
            image_ids=self.image_ids,
            file_names=np.array(self.file_names, dtype=np.str_),
            categories=np.array(self.categories, dtype=np.str_),
            folder=np.array(self.folder),
            info=np.array(json.dumps(self.info)),
            **digests,
            **({} if self.objects is None else self.objects.arrays()),
        )

    @classmethod
    def load(cls, path: Path) -> "LabelTable":
        """Raises UserError where `path` is missing or is not a label table."""
        arrays = read_arrays(path, "label table")
        try:
            return cls(
                folder=str(arrays["folder"]),
                file_names=tuple(arrays["file_names"].tolist()),
                image_ids=arrays["image_ids"],
                categories=tuple(arrays["categories"].tolist()),
                labels=arrays["labels"],
                info=json.loads(str(arrays["info"])),
                file_digests=arrays.get("file_digests"),
                objects=Objects.from_arrays(arrays),
            )
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{path}: not a label table ({error}); make it again with `satl table`"
            ) from error


def check_same_categories(train: LabelTable, test: LabelTable) -> None:
    """Raises UserError naming the difference, unless both tables have the same categories."""
    if train.categories == test.categories:
        return
    only_train = [name for name in train.categories if name not in test.categories]
    only_test = [name for name in test.categories if name not in train.categories]
    difference = (
        f"only in training: {only_train[:8]}, only in test: {only_test[:8]}"
        if only_train or only_test
        else "the same names in another order of ids"
    )
    raise UserError(
        f"training images ({train.folder}) and test images ({test.folder}) have different "
        f"categories ({len(train.categories)} and {len(test.categories)}): {difference}. "
        "Give both annotation files the same `categories` list."
    )


def table_of_names(
    folder: Path, present: Mapping[str, Iterable[str]], categories: Sequence[str], source: Path
) -> LabelTable:
    """The table of fully labelled images, from the names of each image's categories.

    Args:
        folder: holds the image files.
        present: names of the categories of each image, by file name relative to `folder`; rows
            follow its order, all other categories are absent.
        categories: all names, in the order of columns.
        source: the file that says so, for messages.

    Raises:
        UserError: there is no image, an image is missing, or a category is not in `categories`.
    """
    if not present:
        raise UserError(f"{source}: names no image")
    column = {name: index for index, name in enumerate(categories)}
    labels = np.full((len(present), len(categories)), NEGATIVE, dtype=np.int8)
    for row, (image, names) in enumerate(present.items()):
        for name in names:
            if name not in column:
                raise UserError(f"{source}: category {name!r} of image {image} is not in the list")
            labels[row, column[name]] = POSITIVE
    check_images_exist(folder, tuple(present), source)
    return LabelTable(
        folder=str(folder),
        file_names=tuple(present),
        image_ids=np.arange(len(present)),
        categories=tuple(categories),
        labels=labels,
        info={"annotations": str(source)},
    )


def check_images_exist(folder: Path, names: Sequence[str], source: Path) -> None:
    """Raises UserError unless `folder` has all image files that the file `source` names."""
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such image folder (for {source})")
    # One listing of each folder instead of a question to the file system for every image.
    parents = {os.path.dirname(name) for name in names}
    present = {
        os.path.join(parent, entry.name)
        for parent in parents
        if Path(folder, parent).is_dir()
        for entry in os.scandir(Path(folder, parent))
    }
    missing = [name for name in names if name not in present]
    if missing:
        raise UserError(
            f"{folder}: {len(missing)} of the {len(names)} images that {source} names "
            f"are missing: {', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}"
        )
