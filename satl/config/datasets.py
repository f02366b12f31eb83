"""Data sets in the experiment file, one schema for each format."""

import os
from typing import Annotated, Literal

from pydantic import Field, field_validator

from satl.core.strict import Strict

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


class VgCounts(Strict):
    """How many images the lists of a VG data set must have."""

    train: int | None = Field(None, ge=1, description="stop unless train_list has so many")
    test: int | None = Field(None, ge=1, description="stop unless test_list has so many")


class VgDataset(Strict):
    """Visual Genome by image lists and an index of labels: VG-200, or another number."""

    format: Literal["vg"]
    images: list[Annotated[str, Field(min_length=1)]] = Field(
        min_length=1, description="folders of the images; each image lies in one of them"
    )
    objects: str = Field(description="objects.json, of which the categories' names are derived")
    train_list: str = Field(description="text file of training image names, one a line")
    test_list: str = Field(description="text file of test image names, one a line")
    index: str = Field(description="vg_category_500_labels_index.json: category indices by image")
    categories: int = Field(200, ge=1, description="indices below this are kept")
    names: dict[Annotated[int, Field(ge=0)], Annotated[str, Field(min_length=1)]] = Field(
        {}, description="names given by hand, by index, where none can be derived surely"
    )
    expected_images: VgCounts = VgCounts()
    unannotated: Literal["keep", "drop"] = Field(
        "keep", description="images of no kept category: all-negative, or left out"
    )
    unreadable: Unreadable = "stop"
    published: str | None = Field(None, description="CSV of published mAP, shown below the table")

    @field_validator("images")
    @classmethod
    def _check_folders(cls, images: list[str]) -> list[str]:
        if len(set(map(os.path.normpath, images))) < len(images):
            raise ValueError("names a folder twice")
        return images


class GlyphsDataset(Strict):
    """The embedded data set: scenes drawn from the DejaVu font, written in COCO's format."""

    format: Literal["glyphs"]
    train_images: int = Field(1000, ge=1)
    test_images: int = Field(500, ge=1)
    seed: int = Field(0, ge=0)
    unannotated: Literal["keep", "drop"] = "keep"
    crowds: Literal["keep", "drop"] = "keep"
    published: str | None = None


Dataset = Annotated[CocoDataset | VgDataset | GlyphsDataset, Field(discriminator="format")]
DATASETS = {"coco": CocoDataset, "vg": VgDataset, "glyphs": GlyphsDataset}
