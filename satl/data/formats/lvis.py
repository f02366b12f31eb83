"""LVIS and other COCO-style data sets that say which categories were looked for in an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from satl.core.errors import UserError
from satl.data.formats.base import DatasetSize, Part, SplitFormat, check_expected
from satl.data.formats.coco import CocoSplit, coco_size

if TYPE_CHECKING:
    import numpy as np

    from satl.data.coco_json import CocoFile
    from satl.data.table import LabelTable

CATEGORIES = 1203  # of LVIS 1.0, assumed until an annotation file can be read


class LvisFormat(SplitFormat[CocoSplit]):
    """COCO's format with verified negatives (`neg_category_ids`); the rest is unknown."""

    has_boxes: ClassVar[bool] = True

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
        from satl.data.coco_json import coco_table, open_coco, read_annotations

        split = self.split(part)
        annotations = Path(split.annotations)
        coco = open_coco(annotations)
        check_expected(len(coco.images), split.expected_images, annotations)
        found = read_annotations(coco)
        labels = _labels(coco, found.present)
        names = [_file_name(record, annotations) for record in coco.images]
        return coco_table(coco, Path(split.images), names, labels, found.objects, info={})

    def size(self) -> DatasetSize:
        """From the annotation files that exist, else from `expected_images`."""
        return coco_size(self.train, self.test, CATEGORIES)


def _labels(coco: "CocoFile", present: "np.ndarray") -> "np.ndarray":
    """(N, C) int8: +1 present, -1 verified absent, 0 not looked for; `present` is added to."""
    import numpy as np

    absent = np.zeros_like(present)
    column = coco.columns
    for row, record in enumerate(coco.images):
        for key, marked in (
            ("not_exhaustive_category_ids", present),
            ("neg_category_ids", absent),
        ):
            try:
                marked[row, [column[category] for category in record[key]]] = True
            except (KeyError, TypeError) as error:
                raise UserError(
                    f"{coco.path}: image {record['id']} has no list {key!r} of known category "
                    f"ids ({error}); a file without such lists is of format coco"
                ) from error
    both = np.argwhere(present & absent)
    if both.size:
        image = coco.images[both[0, 0]]["id"]
        category = list(coco.categories)[both[0, 1]]
        raise UserError(
            f"{coco.path}: image {image} has category {category} both present and in "
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
