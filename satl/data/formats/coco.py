"""Any data set in COCO's `instances_*.json` format, read by pycocotools."""

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from satl.core.errors import UserError
from satl.core.files import existing
from satl.core.strict import Strict
from satl.data.formats.base import (
    DatasetSize,
    ExpectedImages,
    Part,
    SplitFormat,
    check_expected,
    expected_count,
)

if TYPE_CHECKING:
    import numpy as np
    from pycocotools.coco import COCO

    from satl.data.table import LabelTable

CATEGORIES = 80  # COCO's own, assumed until an annotation file can be read

Crowds = Annotated[
    Literal["keep", "drop"],
    Field(description="whether a crowd annotation makes its category present"),
]


class CocoSplit(Strict):
    """Where one part of a COCO-style data set lies."""

    images: str = Field(description="folder that holds the images")
    annotations: str = Field(description="instances_*.json of these images")
    expected_images: ExpectedImages = None


class CocoFormat(SplitFormat[CocoSplit]):
    """Any data set in COCO's `instances_*.json` format."""

    format: Literal["coco"]
    crowds: Crowds = "keep"

    def inputs(self, part: Part) -> list[str]:
        """The annotation file and the folder of images."""
        return [self.split(part).annotations, self.split(part).images]

    def read(self, part: Part, prepared: Path | None = None) -> "LabelTable":
        """The label table of one annotation file; see `read_coco`."""
        split = self.split(part)
        return read_coco(
            Path(split.annotations),
            Path(split.images),
            crowds=self.crowds,
            expected_images=split.expected_images,
        )

    def size(self) -> DatasetSize:
        """From the annotation files that exist, else from `expected_images`."""
        return coco_size(self.train, self.test, CATEGORIES)


def coco_size(train: CocoSplit, test: CocoSplit, assumed_categories: int) -> DatasetSize:
    """From the annotation files that exist, else from `expected_images`."""
    (images, categories), (test_images, _) = _split_size(train, "train"), _split_size(test, "test")
    note = "" if categories else f"{assumed_categories} categories assumed"
    return DatasetSize(images, test_images, categories or assumed_categories, note)


def _split_size(split: CocoSplit, part: Part) -> tuple[int, int | None]:
    """Images and, if they can be told, categories."""
    path = Path(split.annotations)
    if not path.is_file():
        return expected_count(split.expected_images, f"{part}.expected_images", str(path)), None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return len(content["images"]), len(content["categories"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a COCO annotation file ({error})") from error


def read_coco(
    annotations: Path,
    images: Path,
    *,
    crowds: Literal["keep", "drop"] = "keep",
    expected_images: int | None = None,
) -> "LabelTable":
    """The label table of one `instances_*.json`.

    Column = rank of the category id (ids may have gaps); row = place in the JSON's `images`.
    A category is positive if the image has any annotation of it, otherwise negative.

    Args:
        annotations: the JSON file.
        images: the folder of the image files it names.
        crowds: whether an annotation with `iscrowd` counts.
        expected_images: how many images there must be.

    Raises:
        UserError: the file is missing or not COCO's format, or names an unknown category or
            image; image files are missing; there is none; the count is not the expected one.
    """
    import numpy as np

    from satl.core.labels import NEGATIVE, POSITIVE

    coco = open_coco(annotations)
    present = coco_presence(coco, annotations, crowds)
    check_expected(len(present), expected_images, annotations)
    return coco_table(
        coco,
        annotations,
        images,
        [record["file_name"] for record in coco.dataset["images"]],
        np.where(present, POSITIVE, NEGATIVE).astype(np.int8),
        info={
            "crowds": crowds,
            "crowd_annotations": sum(bool(a.get("iscrowd", 0)) for a in coco.anns.values()),
        },
    )


def coco_table(
    coco: "COCO",
    annotations: Path,
    images: Path,
    names: Sequence[str],
    labels: "np.ndarray",
    info: dict[str, Any],
) -> "LabelTable":
    """The table of an annotation file's images, of which `names` are the files.

    Raises:
        UserError: there is no image, or a file is missing.
    """
    import numpy as np

    from satl.data.table import LabelTable, check_images_exist

    records = coco.dataset["images"]
    if not records:
        raise UserError(f"{annotations}: lists no image; is this the right annotation file?")
    check_images_exist(images, names, annotations)
    return LabelTable(
        folder=str(images),
        file_names=tuple(names),
        image_ids=np.array([record["id"] for record in records], dtype=np.int64),
        categories=tuple(coco.cats[category]["name"] for category in sorted(coco.cats)),
        labels=labels,
        info={"annotations": str(annotations), **info},
    )


def category_columns(coco: "COCO") -> dict[int, int]:
    """The column of each category id: its rank."""
    return {category: index for index, category in enumerate(sorted(coco.cats))}


def coco_presence(
    coco: "COCO", annotations: Path, crowds: Literal["keep", "drop"] = "keep"
) -> "np.ndarray":
    """(N, C) bool: whether an image has an annotation of a category.

    Raises:
        UserError: an annotation names an unknown category or image.
    """
    import numpy as np

    row = {record["id"]: index for index, record in enumerate(coco.dataset["images"])}
    column = category_columns(coco)
    present = np.zeros((len(row), len(column)), dtype=bool)
    for annotation in coco.anns.values():
        if crowds == "drop" and annotation.get("iscrowd", 0):
            continue
        image, category = annotation["image_id"], annotation["category_id"]
        if image not in row or category not in column:
            stray = f"image_id {image}" if image not in row else f"category_id {category}"
            raise UserError(
                f"{annotations}: annotation {annotation['id']} names {stray}, which is not listed"
            )
        present[row[image], column[category]] = True
    return present


def open_coco(annotations: Path) -> "COCO":
    """What pycocotools reads. Raises UserError if the file is missing or is not COCO's."""
    from pycocotools.coco import COCO

    talk = io.StringIO()
    try:
        with contextlib.redirect_stdout(talk):  # pycocotools prints its progress
            coco = COCO(str(existing(annotations, "annotation file")))
    except (json.JSONDecodeError, UnicodeDecodeError, AssertionError, KeyError) as error:
        raise UserError(f"{annotations}: not a COCO annotation file ({error})") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(coco.dataset.get(key), list):
            raise UserError(f"{annotations}: not a COCO instances file: it has no list {key!r}")
    _check_unique(coco.dataset, annotations)
    return coco


def _check_unique(dataset: dict[str, Any], annotations: Path) -> None:
    ids = [record["id"] for record in dataset["images"]]
    if len(set(ids)) < len(ids):
        raise UserError(f"{annotations}: two images share an id")
    names = [record["name"] for record in dataset["categories"]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{annotations}: two categories are called {twice!r}")
