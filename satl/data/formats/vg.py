"""Visual Genome by image lists and an index of labels: VG-200, or another number."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from satl.core.errors import UserError
from satl.core.strict import Strict
from satl.data.formats.base import (
    DataFormat,
    DatasetSize,
    ExpectedImages,
    Part,
    expected_count,
)
from satl.data.image_list import read_list

if TYPE_CHECKING:
    from satl.data.table import LabelTable

NAMES = "categories.json"  # what `prepare` writes


class VgCounts(Strict):
    """How many images the lists of a VG data set must have."""

    train: ExpectedImages = None
    test: ExpectedImages = None


class VgFormat(DataFormat):
    """Visual Genome by image lists and an index of labels: VG-200, or another number."""

    format: Literal["vg"]
    images: list[Annotated[str, Field(min_length=1)]] = Field(
        min_length=1, description="folders of the images; each image lies in one of them"
    )
    objects: str = Field(description="objects.json, from which category names are derived")
    train_list: str = Field(description="text file of training image names, one per line")
    test_list: str = Field(description="text file of test image names, one per line")
    index: str = Field(description="vg_category_500_labels_index.json: category indices by image")
    categories: int = Field(200, ge=1, description="indices below this are kept")
    names: dict[Annotated[int, Field(ge=0)], Annotated[str, Field(min_length=1)]] = Field(
        {}, description="names given by hand, by index, where none can be derived with certainty"
    )
    expected_images: VgCounts = Field(VgCounts(), description="numbers of images in the two lists")

    @field_validator("images")
    @classmethod
    def _check_folders(cls, images: list[str]) -> list[str]:
        if len(set(map(os.path.normpath, images))) < len(images):
            raise ValueError("names a folder twice")
        return images

    def _lists(self, part: Part) -> tuple[str, str]:
        """The image list of `part`, and the other one."""
        lists = (self.train_list, self.test_list)
        return lists if part == "train" else lists[::-1]

    def inputs(self, part: Part) -> list[str]:
        """Both lists (they must not overlap), the index, the folders."""
        return [*self._lists(part), self.index, *self.images]

    def prepare_inputs(self) -> list[str]:
        """What names are derived from."""
        return [self.index, self.objects]

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Derive the names of the categories, once for both lists."""
        from satl.core.files import write_json
        from satl.data.vg.names import derive_names

        derived = derive_names(Path(self.index), Path(self.objects), self.categories, self.names)
        write_json(folder / NAMES, derived)
        return {key: value for key, value in derived.items() if key != "matches"}

    def read(self, part: Part, prepared: Path | None = None) -> "LabelTable":
        """The label table of one list, with the names in `prepared`."""
        from satl.data.vg.table import read_vg

        if prepared is None:
            raise UserError("the names of VG's categories are derived first: run `satl prepare`")
        own, other = map(Path, self._lists(part))
        return read_vg(
            own,
            Path(self.index),
            prepared / NAMES,
            list(map(Path, self.images)),
            apart_from=other,
            expected_images=getattr(self.expected_images, part),
        )

    def size(self) -> DatasetSize:
        """From the lists that exist, else from `expected_images`."""
        return DatasetSize(self._count("train"), self._count("test"), self.categories)

    def _count(self, part: Part) -> int:
        own, _ = self._lists(part)
        if Path(own).is_file():
            return len(read_list(Path(own)))
        return expected_count(getattr(self.expected_images, part), f"expected_images.{part}", own)
