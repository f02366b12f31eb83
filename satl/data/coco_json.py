"""Annotation files in COCO's format, read as a stream: LVIS's are larger than most memories.

A file is parsed once per list (categories, images, annotations), and never held as a whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from satl.core.errors import UserError
from satl.data.json_stream import STREAM_ERRORS, first_line, stream
from satl.data.objects import ObjectCounter, Objects
from satl.data.table import LabelTable, check_images_exist

# What is kept of an image's record; LVIS has the latter three.
IMAGE_KEYS = (
    "id", "file_name", "width", "height",
    "coco_url", "neg_category_ids", "not_exhaustive_category_ids",
)  # fmt: skip
Record = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class CocoFile:
    """Images and categories of an annotation file; its annotations stay on the disk.

    Attributes:
        path: of the file.
        images: their records, in the file's order, with IMAGE_KEYS.
        categories: names by id, in the order of ids, which is that of columns: ids may have gaps.
    """

    path: Path
    images: list[Record]
    categories: dict[int, str]

    @property
    def columns(self) -> dict[int, int]:
        """The column of each category id: its rank."""
        return {category: index for index, category in enumerate(self.categories)}

    @property
    def rows(self) -> dict[int, int]:
        """The row of each image id."""
        return {record["id"]: index for index, record in enumerate(self.images)}

    def annotations(self) -> Iterator[Record]:
        """One at a time, as the file has them."""
        return _records(self.path, "annotations", lambda record: {**record})


@dataclass(frozen=True)
class Annotated:
    """What the annotations of a file say.

    Attributes:
        present: (N, C) bool, whether an image has an annotation of a category.
        objects: their sizes and places; None unless every annotation has a box, and its image a
            width and a height.
        crowds: how many annotations have `iscrowd`.
    """

    present: NDArray[np.bool_]
    objects: Objects | None
    crowds: int


def open_coco(path: Path) -> CocoFile:
    """Images and categories of `path`.

    Raises:
        UserError: the file is missing or is not COCO's.
    """
    names = list(_records(path, "categories", lambda one: (one["id"], one["name"])))
    images = list(_records(path, "images", _image))
    _check_unique(path, [record["id"] for record in images], [name for _, name in names])
    return CocoFile(path, images, dict(sorted(names)))


def read_annotations(coco: CocoFile, crowds: Literal["keep", "drop"] = "keep") -> Annotated:
    """What the annotations say; with `drop`, those that have `iscrowd` do not count.

    Raises:
        UserError: an annotation names an unknown category or image.
    """
    row, column = coco.rows, coco.columns
    present = np.zeros((len(row), len(column)), dtype=bool)
    counter: ObjectCounter | None = ObjectCounter()
    crowded = 0
    for one in coco.annotations():
        crowded += bool(one.get("iscrowd", 0))
        if crowds == "drop" and one.get("iscrowd", 0):
            continue
        image, category = one.get("image_id"), one.get("category_id")
        if image not in row or category not in column:
            stray = f"image_id {image}" if image not in row else f"category_id {category}"
            raise UserError(
                f"{coco.path}: annotation {one.get('id')} names {stray}, which is not listed"
            )
        place = row[image], column[category]
        present[place] = True
        if counter and not _count(counter, place, one, coco.images[row[image]]):
            counter = None
    return Annotated(present, counter.objects() if counter else None, crowded)


def coco_table(
    coco: CocoFile,
    images: Path,
    names: list[str],
    labels: NDArray[np.int8],
    objects: Objects | None,
    info: Record,
) -> LabelTable:
    """The table of the images of `coco`, of which `names` are the files in the folder `images`.

    Raises:
        UserError: a file is missing.
    """
    check_images_exist(images, names, coco.path)
    return LabelTable(
        folder=str(images),
        file_names=tuple(names),
        image_ids=np.array([record["id"] for record in coco.images], dtype=np.int64),
        categories=tuple(coco.categories.values()),
        labels=labels,
        info={"annotations": str(coco.path), **info},
        objects=objects,
    )


def _records(path: Path, key: str, of: Callable[[Record], T]) -> Iterator[T]:
    """What `of` takes of each record of one list. Raises UserError; also where there is none."""
    found = False
    try:
        for record in stream(path, f"{key}.item", "annotation file"):
            yield of(record)
            found = True
    except STREAM_ERRORS as error:
        raise UserError(f"{path}: not a COCO annotation file ({first_line(error)})") from error
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a COCO annotation file: an entry of {key!r} is no record with what it "
            f"needs ({error})"
        ) from error
    if not found:
        raise UserError(
            f"{path}: not a COCO instances file: its list {key!r} is missing or empty; is this "
            "the right annotation file?"
        )


def _image(record: Record) -> Record:
    kept = {key: record[key] for key in IMAGE_KEYS if key in record}
    return {"id": record["id"], **kept}


def _count(
    counter: ObjectCounter, place: tuple[int, int], annotation: Record, image: Record
) -> bool:
    """Add an object; False where it has no box, or its image no size."""
    try:
        left, top, width, height = map(float, annotation["bbox"])
        size = float(image["width"]), float(image["height"])
        area = float(annotation.get("area", width * height))
    except (KeyError, TypeError, ValueError):
        return False
    counter.add(*place, (left, top, width, height), size, area)
    return True


def _check_unique(path: Path, ids: list[int], names: list[str]) -> None:
    if len(set(ids)) < len(ids):
        raise UserError(f"{path}: two images share an id")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: two categories are called {twice!r}")
