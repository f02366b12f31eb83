"""A small Visual Genome: pictures in two folders, objects.json, the index of labels, two lists."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("man", "traffic light", "tree", "bus")  # of indices 0 … 3, which are kept
BEYOND = ("zebra", "kite")  # of indices 200 and 499, which are not
TRAIN, TEST, UNLISTED = 24, 12, 4


def write_vg(folder: Path, seed: int = 0) -> Path:
    """Write the data set; image numbers have gaps, and every third image is in VG_100K_2.

    Objects are named like the real ones: by several names, in any case, with spaces, with
    synonyms, some not at all; now and then one is missing or wrong.
    """
    rng = np.random.default_rng(seed)
    numbers = (2 + 3 * rng.permutation(TRAIN + TEST + UNLISTED)).tolist()
    index, objects = {}, []
    for place, number in enumerate(numbers):
        present = np.flatnonzero(rng.random(6) < 0.4)
        index[f"{number}.jpg"] = [int((0, 1, 2, 3, 200, 499)[k]) for k in present]
        below = folder / ("VG_100K_2" if place % 3 == 0 else "VG_100K")
        below.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(below / f"{number}.jpg")
        objects.append({"image_id": number, "objects": list(_objects(present, rng))})
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "objects.json").write_text(json.dumps(objects))
    names = [f"{number}.jpg" for number in numbers]
    # As published lists come: with spaces at the ends of lines, and blank lines.
    (folder / "train.txt").write_text(" \n".join(names[:TRAIN]) + "\n\n")
    (folder / "test.txt").write_text("\n".join(names[TRAIN : TRAIN + TEST]))
    return folder


def _objects(present, rng):
    names = (*NAMES, *BEYOND)
    for k in present:
        if rng.random() < 0.08:
            continue  # nobody drew it
        for _ in range(rng.integers(1, 3)):
            first = rng.choice([names[k], names[k].upper(), f" {names[k]} "])
            yield {"names": [str(first), "thing"], "object_id": int(rng.integers(1 << 20)), "x": 1}
    if 0 in present and rng.random() < 0.6:
        yield {"names": ["person"]}  # a synonym, less used
    if rng.random() < 0.04:
        yield {"names": ["bus"]}
    yield {"names": [f"rarity {rng.integers(1 << 20)}"]}
    yield {"names": []}


def vg_config(folder: Path) -> dict:
    """The section of the config that reads it."""
    return {
        "format": "vg",
        "images": [str(folder / "VG_100K"), str(folder / "VG_100K_2")],
        "objects": str(folder / "objects.json"),
        "train_list": str(folder / "train.txt"),
        "test_list": str(folder / "test.txt"),
        "index": str(folder / "index.json"),
        "categories": len(NAMES),
        "expected_images": {"train": TRAIN, "test": TEST},
    }
