"""LVIS and other COCO-style data sets that say which categories were looked for in an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from satl.core.errors import UserError
from satl.data.formats.base import DatasetSize, Part, SplitFormat, check_expected
from satl.data.formats.coco import (
    CocoSplit,
    category_columns,
    coco_presence,
    coco_size,
    coco_table,
    open_coco,
)

if TYPE_CHECKING:
    import numpy as np
    from pycocotools.coco import COCO

    from satl.data.table import LabelTable

CATEGORIES = 1203  # of LVIS 1.0, assumed until an annotation file can be read


class LvisFormat(SplitFormat[CocoSplit]):
    """COCO's format with verified negatives (`neg_category_ids`); the rest is unknown."""

    format: Literal["lvis"]

    @property
    def may_be_partial(self) -> bool:
        """Always: only some categories are looked for in an image."""
        return True

    def inputs(self, part: Part) -> list[str]:
        """The annotation file and the folder of images."""
        return [self.split(part).annotations, self.split(part).images]

    def read(self, part: Part, prepared: Path | None = None) -> "LabelTable":
        """The label table of one annotation file; rows and columns as in format `coco`.

        Positive is what is annotated or in an image's `not_exhaustive_category_ids` (present,
        though not all of its instances are annotated), negative what is in `neg_category_ids`
        (Gupta et al., LVIS, CVPR 2019, section 3.1).

        Raises:
            UserError: as `read_coco`; an image lacks the two lists or contradicts itself.
        """
        split = self.split(part)
        annotations = Path(split.annotations)
        coco = open_coco(annotations)
        labels = _labels(coco, annotations)
        check_expected(len(labels), split.expected_images, annotations)
        names = [_file_name(record, annotations) for record in coco.dataset["images"]]
        return coco_table(coco, annotations, Path(split.images), names, labels, info={})

    def size(self) -> DatasetSize:
        """From the annotation files that exist, else from `expected_images`."""
        return coco_size(self.train, self.test, CATEGORIES)


def _labels(coco: "COCO", annotations: Path) -> "np.ndarray":
    """(N, C) int8: +1 present, -1 verified absent, 0 not looked for."""
    import numpy as np

    present = coco_presence(coco, annotations)
    absent = np.zeros_like(present)
    column = category_columns(coco)
    for row, record in enumerate(coco.dataset["images"]):
        for key, marked in (
            ("not_exhaustive_category_ids", present),
            ("neg_category_ids", absent),
        ):
            try:
                marked[row, [column[category] for category in record[key]]] = True
            except (KeyError, TypeError) as error:
                raise UserError(
                    f"{annotations}: image {record['id']} has no list {key!r} of known category "
                    f"ids ({error}); a file without such lists is of format coco"
                ) from error
    both = np.argwhere(present & absent)
    if both.size:
        image = coco.dataset["images"][both[0, 0]]["id"]
        category = sorted(coco.cats)[both[0, 1]]
        raise UserError(
            f"{annotations}: image {image} has category {category} both present and in "
            "`neg_category_ids`"
        )
    return present.astype(np.int8) - absent.astype(np.int8)


def _file_name(record: dict[str, Any], annotations: Path) -> str:
    """`file_name`; LVIS 1.0 has `coco_url` instead, whose end is the folder and the file."""
    if "file_name" in record:
        return str(record["file_name"])
    if "coco_url" not in record:
        raise UserError(f"{annotations}: image {record['id']} has no `file_name` and no `coco_url`")
    return "/".join(str(record["coco_url"]).split("/")[-2:])
