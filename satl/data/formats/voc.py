"""PASCAL VOC 2007 and 2012, and data sets laid out like them."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
from satl.data.image_list import read_list

if TYPE_CHECKING:
    from satl.data.table import LabelTable

CATEGORIES = [
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
]  # fmt: skip
# As word embeddings need them. The published vectors of these three are means of two words as
# well, by their decimals; of which words is not known.
IN_WORDS = {
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "tvmonitor": "tv monitor",
}


class VocSplit(Strict):
    """Where one part of the data set lies."""

    folder: str = Field(description="holds Annotations, ImageSets/Main and JPEGImages")
    image_set: str = Field(
        min_length=1, description="list of images: the name of a file in ImageSets/Main, less .txt"
    )
    expected_images: ExpectedImages = None

    @property
    def image_list(self) -> Path:
        """The file that names the images of the part."""
        return Path(self.folder, "ImageSets", "Main", f"{self.image_set}.txt")


class VocFormat(SplitFormat[VocSplit]):
    """PASCAL VOC 2007 and 2012, and data sets laid out like them: an XML file per image."""

    format: Literal["voc"]
    test: VocSplit = Field(description="test images; those of VOC 2012 have no annotations")
    difficult: Literal["positive", "unknown", "negative"] = Field(
        "negative",
        description="what a category is of which an image has objects marked difficult alone; "
        "negative, as though they were not there, in published code for partial labels",
    )
    categories: list[str] = Field(
        CATEGORIES, min_length=1, description="names of the objects, in the order of columns"
    )

    @property
    def may_be_partial(self) -> bool:
        """Where difficult objects make a category unknown."""
        return self.difficult == "unknown"

    def inputs(self, part: Part) -> list[str]:
        """The folder of a part."""
        return [self.split(part).folder]

    def read(self, part: Part, prepared: Path | None = None) -> "LabelTable":
        """The label table of one image set; rows in the order of its list.

        Raises:
            UserError: a list, an annotation or an image is missing or malformed, an object is
                of another category, or the count is not the expected one.
        """
        import numpy as np

        from satl.data.table import LabelTable, check_images_exist

        split = self.split(part)
        names = read_list(split.image_list)
        check_expected(len(names), split.expected_images, split.image_list)
        images = Path(split.folder, "JPEGImages")
        files = tuple(f"{name}.jpg" for name in names)
        check_images_exist(images, files, split.image_list)
        rows = [self._labels(Path(split.folder, "Annotations", f"{name}.xml")) for name in names]
        return LabelTable(
            folder=str(images),
            file_names=files,
            image_ids=np.arange(len(names)),
            categories=tuple(IN_WORDS.get(name, name) for name in self.categories),
            labels=np.array(rows, dtype=np.int8),
            info={"annotations": str(split.image_list), "difficult": self.difficult},
        )

    def size(self) -> DatasetSize:
        """From the lists that exist, else from `expected_images`."""
        return DatasetSize(self._count("train"), self._count("test"), len(self.categories))

    def _count(self, part: Part) -> int:
        split = self.split(part)
        if not split.image_list.is_file():
            where = str(split.image_list)
            return expected_count(split.expected_images, f"{part}.expected_images", where)
        return len(read_list(split.image_list))

    def _labels(self, annotation: Path) -> list[int]:
        """One label per category: +1 with an object, -1 without; 0 only for difficult ones."""
        easy, difficult = set(), set()
        for name, is_difficult in _objects(annotation):
            if name not in self.categories:
                raise UserError(f"{annotation}: an object is called {name!r}, not in `categories`")
            (difficult if is_difficult else easy).add(name)
        of_difficult = {"positive": 1, "unknown": 0, "negative": -1}[self.difficult]
        return [
            1 if name in easy else of_difficult if name in difficult else -1
            for name in self.categories
        ]


def _objects(annotation: Path) -> list[tuple[str, bool]]:
    """Name of each object, and whether it is marked difficult; parts of objects do not count."""
    from xml.etree import ElementTree

    try:
        root = ElementTree.parse(existing(annotation, "annotation file")).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{annotation}: not valid XML ({error})") from error
    objects = [
        (item.findtext("name", "").strip(), item.findtext("difficult", "0").strip() == "1")
        for item in root.findall("object")
    ]
    if root.tag != "annotation":
        raise UserError(f"{annotation}: not an annotation of PASCAL VOC, but <{root.tag}>")
    return objects
