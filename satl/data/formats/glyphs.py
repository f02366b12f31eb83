"""The embedded data set: scenes drawn from the DejaVu font, written in COCO's format."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from satl.core.errors import UserError
from satl.data.formats.base import DataFormat, DatasetSize, Part
from satl.data.formats.coco import Crowds, read_coco

if TYPE_CHECKING:
    from satl.data.table import LabelTable


class GlyphsFormat(DataFormat):
    """The embedded data set: scenes drawn from the DejaVu font, written in COCO's format."""

    has_boxes: ClassVar[bool] = True

    format: Literal["glyphs"]
    train_images: int = Field(1000, ge=1, description="how many training images to draw")
    test_images: int = Field(500, ge=1, description="how many test images to draw")
    seed: int = Field(0, ge=0, description="of the drawing")
    crowds: Crowds = "keep"

    def inputs(self, part: Part) -> list[str]:
        """Nothing: the pictures are drawn."""
        return []

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Draw the pictures and their annotations: train/, test/ and two instances_*.json."""
        from tqdm import tqdm

        from satl.data.glyphs.dataset import draw_dataset

        draw_dataset(folder, self.train_images, self.test_images, self.seed, tqdm)
        return {"train_images": self.train_images, "test_images": self.test_images}

    def read(self, part: Part, prepared: Path | None = None) -> "LabelTable":
        """The label table of the pictures drawn into `prepared`."""
        if prepared is None:
            raise UserError("the glyphs are drawn first: run `satl prepare`")
        return read_coco(
            prepared / f"instances_{part}.json",
            prepared / part,
            crowds=self.crowds,
            expected_images=self.train_images if part == "train" else self.test_images,
        )

    def size(self) -> DatasetSize:
        """As configured."""
        from satl.data.glyphs.catalogue import CATEGORIES

        return DatasetSize(self.train_images, self.test_images, len(CATEGORIES))
