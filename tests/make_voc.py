"""A small PASCAL VOC: pictures, an XML file for each, and lists of them."""

from pathlib import Path

import numpy as np
from PIL import Image

from satl.data.formats.voc import CATEGORIES

OBJECT = "<object><name>{}</name><difficult>{}</difficult><part><name>head</name></part></object>"


def write_voc(folder: Path, image_set: str, images: int, seed: int) -> Path:
    """Write `folder`/VOCdevkit/VOC2007; every fifth object is difficult. Returns it."""
    rng = np.random.default_rng(seed)
    root = folder / "VOCdevkit/VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    names = [f"{seed}{number:05d}" for number in range(images)]
    (root / f"ImageSets/Main/{image_set}.txt").write_text("".join(f"{n}\n" for n in names))
    for name in names:
        pixels = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"JPEGImages/{name}.jpg")
        shown = rng.choice(CATEGORIES, 4)
        write_annotation(root, name, *((c, int(rng.random() < 0.2)) for c in shown))
    return root


def write_annotation(root: Path, name: str, *objects: tuple[str, int]) -> None:
    """Write the XML file of one image, from names of objects and whether they are difficult."""
    text = "".join(OBJECT.format(*item) for item in objects)
    (root / f"Annotations/{name}.xml").write_text(f"<annotation>{text}</annotation>")


def voc_config(folder: Path, train: int, test: int) -> dict:
    """Write both parts, and return the section of the config that reads them."""
    trainval = write_voc(folder / "trainval", "trainval", train, seed=1)
    other = write_voc(folder / "test", "test", test, seed=2)
    return {
        "format": "voc",
        "train": {"folder": str(trainval), "image_set": "trainval"},
        "test": {"folder": str(other), "image_set": "test"},
    }
