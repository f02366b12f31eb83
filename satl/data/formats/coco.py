"""Any data set in COCO's `instances_*.json` format."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from satl.core.errors import UserError
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

    has_boxes: ClassVar[bool] = True

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
    from satl.data.coco_json import open_coco

    path = Path(split.annotations)
    if not path.is_file():
        return expected_count(split.expected_images, f"{part}.expected_images", str(path)), None
    coco = open_coco(path)
    return len(coco.images), len(coco.categories)


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
    from satl.data.coco_json import coco_table, open_coco, read_annotations

    coco = open_coco(annotations)
    check_expected(len(coco.images), expected_images, annotations)
    found = read_annotations(coco, crowds)
    return coco_table(
        coco,
        images,
        [_file_name(record, annotations) for record in coco.images],
        np.where(found.present, POSITIVE, NEGATIVE).astype(np.int8),
        found.objects,
        info={"crowds": crowds, "crowd_annotations": found.crowds},
    )


def _file_name(record: dict[str, Any], annotations: Path) -> str:
    if "file_name" not in record:
        raise UserError(f"{annotations}: image {record['id']} has no `file_name`")
    return str(record["file_name"])
