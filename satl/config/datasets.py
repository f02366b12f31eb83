"""Data sets in the experiment file, one schema for each format."""

from typing import Annotated, Literal

from pydantic import Field

from satl.config.strict import Strict

Unreadable = Annotated[
    Literal["stop", "drop"],
    Field(
        description="images that cannot be decoded: stop and name them, or leave them out (which "
        "labels are known then differs from the published partial labels)"
    ),
]


class CocoSplit(Strict):
    """Where one split of a COCO-style data set lies."""

    images: str = Field(description="folder that holds the images")
    annotations: str = Field(description="instances_*.json of these images")
    expected_images: int | None = Field(None, ge=1, description="stop unless there are so many")


class CocoDataset(Strict):
    """Any data set in COCO's `instances_*.json` format."""

    format: Literal["coco"]
    train: CocoSplit
    test: CocoSplit
    unannotated: Literal["keep", "drop"] = Field(
        "keep", description="images without annotations: all-negative, or left out"
    )
    crowds: Literal["keep", "drop"] = Field(
        "keep", description="whether a crowd annotation makes its category present"
    )
    unreadable: Unreadable = "stop"
    published: str | None = Field(None, description="CSV of published mAP, shown below the table")


class GlyphsDataset(Strict):
    """The embedded data set: scenes drawn from the DejaVu font, written in COCO's format."""

    format: Literal["glyphs"]
    train_images: int = Field(1000, ge=1)
    test_images: int = Field(500, ge=1)
    seed: int = Field(0, ge=0)
    unannotated: Literal["keep", "drop"] = "keep"
    crowds: Literal["keep", "drop"] = "keep"
    published: str | None = None


Dataset = Annotated[CocoDataset | GlyphsDataset, Field(discriminator="format")]
DATASETS = {"coco": CocoDataset, "glyphs": GlyphsDataset}
