"""PASCAL VOC 2007 and 2012, and data sets laid out like them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

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
    from xml.etree.ElementTree import Element

    from satl.data.objects import Box, Objects
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

    has_boxes: ClassVar[bool] = True

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
        annotations = [_read(Path(split.folder, "Annotations", f"{n}.xml")) for n in names]
        labels = [self._labels(annotation) for annotation in annotations]
        return LabelTable(
            folder=str(images),
            file_names=files,
            image_ids=np.arange(len(names)),
            categories=tuple(IN_WORDS.get(name, name) for name in self.categories),
            labels=np.array(labels, dtype=np.int8),
            info={"annotations": str(split.image_list), "difficult": self.difficult},
            objects=self._objects(annotations),
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

    def _labels(self, annotation: "VocAnnotation") -> list[int]:
        """One label per category: +1 with an object, -1 without; 0 only for difficult ones."""
        easy, difficult = set(), set()
        for one in annotation.objects:
            if one.name not in self.categories:
                where = f"{annotation.path}: an object is called {one.name!r}"
                raise UserError(f"{where}, not in `categories`")
            (difficult if one.is_difficult else easy).add(one.name)
        of_difficult = {"positive": 1, "unknown": 0, "negative": -1}[self.difficult]
        return [
            1 if name in easy else of_difficult if name in difficult else -1
            for name in self.categories
        ]

    def _objects(self, annotations: "list[VocAnnotation]") -> "Objects | None":
        """Those that make a category positive; None unless all have boxes and sizes."""
        from satl.data.objects import ObjectCounter

        counter = ObjectCounter()
        for row, annotation in enumerate(annotations):
            for one in annotation.objects:
                if one.is_difficult and self.difficult != "positive":
                    continue
                if one.box is None or annotation.size is None:
                    return None
                column = self.categories.index(one.name)
                counter.add(row, column, one.box, annotation.size, one.box[2] * one.box[3])
        return counter.objects()


@dataclass(frozen=True)
class VocObject:
    """One object; `box` is left, top, width, height in pixels, None where it lacks."""

    name: str
    is_difficult: bool
    box: "Box | None"


@dataclass(frozen=True)
class VocAnnotation:
    """The objects of one file; `size` is width and height of the image, None where it lacks."""

    path: Path
    objects: list[VocObject]
    size: tuple[float, float] | None


def _read(path: Path) -> VocAnnotation:
    """Parts of objects do not count."""
    from xml.etree import ElementTree

    try:
        root = ElementTree.parse(existing(path, "annotation file")).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: not valid XML ({error})") from error
    if root.tag != "annotation":
        raise UserError(f"{path}: not an annotation of PASCAL VOC, but <{root.tag}>")
    objects = [
        VocObject(
            item.findtext("name", "").strip(),
            item.findtext("difficult", "0").strip() == "1",
            _box(item.find("bndbox")),
        )
        for item in root.findall("object")
    ]
    size = _numbers(root.find("size"), ("width", "height"))
    return VocAnnotation(path, objects, (size[0], size[1]) if size else None)


def _box(element: "Element | None") -> "Box | None":
    """Of corners that are pixels counted from 1, both of them inside."""
    corners = _numbers(element, ("xmin", "ymin", "xmax", "ymax"))
    if corners is None:
        return None
    left, top, right, bottom = corners
    return left - 1, top - 1, right - left + 1, bottom - top + 1


def _numbers(element: "Element | None", names: tuple[str, ...]) -> list[float] | None:
    if element is None:
        return None
    try:
        return [float(element.findtext(name, "")) for name in names]
    except ValueError:
        return None
