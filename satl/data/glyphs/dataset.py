"""The embedded data set `glyphs`: scenes drawn on the fly, so that a first run downloads nothing.

Glyphs of the DejaVu Sans font, which Matplotlib ships, stand for the objects.  Five groups of
categories co-occur, some categories are rare, and some look alike, as in photographs; but no
label is in doubt: whatever is drawn can be seen, and whatever can be seen is annotated.

The same arguments draw the same bytes, given the same releases of Pillow, NumPy and
Matplotlib.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from satl.core.errors import UserError
from satl.core.files import cannot_write
from satl.data.glyphs.catalogue import CATEGORIES, GROUPS, PRETRAINING_CHARACTERS
from satl.data.glyphs.drawing import paint_background, paint_stamp, stamp_glyph
from satl.data.glyphs.scenes import SceneObject, choose_mood, draw_scene

MARKER = ".glyphs"
"""This empty file marks a folder as drawn by `draw_dataset`, which may then be replaced."""

# Every picture has a generator of its own, seeded by (seed, stream, index).
STREAMS = {"train": 0, "test": 1, "single": 2}


def draw_dataset(
    folder: Path,
    train_images: int,
    test_images: int,
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] | None = None,
) -> None:
    """Draw the data set into `folder`, laid out and annotated as COCO is.

    Writes `train/*.jpg`, `test/*.jpg`, `instances_train.json` and `instances_test.json`.
    Picture k of a split depends on `seed` and k only, not on how many there are.  The folder
    appears when it is complete; one that an earlier call has drawn is replaced.

    Args:
        folder: where to write; its parents are made where they lack.
        train_images, test_images: how many pictures, 1 or more each.
        seed: 0 or more.
        progress: wraps the picture indices of a split (as `tqdm.tqdm` does), once per split.

    Raises:
        UserError: a count or the seed is out of range, `folder` holds something else or cannot
            be written.
    """
    counts = {"train": train_images, "test": test_images}
    for split, count in counts.items():
        _require(count, 1, f"{split}_images")
    _require(seed, 0, "seed")
    folder = Path(folder).resolve()
    _require_replaceable(folder)

    scratch = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
        scratch.chmod(0o755)  # mkdtemp keeps other users out
        (scratch / MARKER).touch()
        for split, count in counts.items():
            indices = range(count) if progress is None else progress(range(count))
            _draw_split(scratch, split, indices, seed)
        if folder.exists():
            shutil.rmtree(folder)
        scratch.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _require(value: int, least: int, name: str) -> None:
    if value < least:
        raise UserError(f"{name} is {value}; give a whole number of {least} or more.")


def _require_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder to draw the glyphs data set into.")
    if any(folder.iterdir()) and not (folder / MARKER).exists():
        raise UserError(
            f"{folder} holds files that are not a glyphs data set; "
            "name another folder, or empty this one."
        )


def _draw_split(folder: Path, split: str, indices: Iterable[int], seed: int) -> None:
    """Write one split's pictures and its annotations in COCO's format."""
    (folder / split).mkdir()
    images, annotations = [], []
    for index in indices:
        picture, objects = draw_scene(_generator(seed, split, index))
        image = {
            "id": index + 1,
            "file_name": f"{index:06d}.jpg",
            "width": picture.width,
            "height": picture.height,
            "license": 1,
        }
        picture.save(folder / split / image["file_name"], quality=90)
        images.append(image)
        for item in objects:
            annotations.append(_annotation(len(annotations) + 1, image["id"], item))
    content = {
        "info": {"description": f"satl-bench glyphs, {split}, seed {seed}", "version": "1"},
        "licenses": [{"id": 1, "name": "Drawn from the DejaVu fonts", "url": ""}],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": category.id, "name": category.name, "supercategory": category.group}
            for category in CATEGORIES
        ],
    }
    (folder / f"instances_{split}.json").write_text(json.dumps(content), encoding="utf-8")


def _annotation(number: int, image_id: int, item: SceneObject) -> dict:
    left, top, width, height = item.box
    right, bottom = left + width, top + height
    return {
        "id": number,
        "image_id": image_id,
        "category_id": item.category.id,
        "bbox": list(item.box),
        "area": item.area,
        "iscrowd": 0,
        "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
    }


def _generator(seed: int, stream: str, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, STREAMS[stream], index])


def single_glyphs(count: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of one glyph each, to pre-train a small backbone on.

    Args:
        count: how many pictures, 1 or more.
        size: their width and height in pixels, 16 or more.
        seed: 0 or more; picture k depends on `seed`, `size` and k only.

    Returns:
        Pictures, uint8 of shape (count, 3, size, size), and classes, int64 of shape (count,):
        indices into `PRETRAINING_CHARACTERS`, every class in turn.

    Raises:
        UserError: an argument is out of range.
    """
    _require(count, 1, "count")
    _require(size, 16, "size")
    _require(seed, 0, "seed")
    pictures = np.empty((count, 3, size, size), dtype=np.uint8)
    classes = np.arange(count, dtype=np.int64) % len(PRETRAINING_CHARACTERS)
    for index in range(count):
        picture = _draw_single(
            PRETRAINING_CHARACTERS[classes[index]], size, _generator(seed, "single", index)
        )
        pictures[index] = np.asarray(picture).transpose(2, 0, 1)
    return pictures, classes


def _draw_single(character: str, size: int, rng: np.random.Generator) -> Image.Image:
    """One glyph near the centre of a square background in any mood."""
    pattern, palette = choose_mood(GROUPS[rng.integers(len(GROUPS))], rng)
    picture = paint_background((size, size), pattern, palette, rng)
    stamp = stamp_glyph(character, rng.uniform(0.4, 0.85) * size, rng.uniform(-35, 35))
    left, top = (
        round((size - side) / 2 + rng.uniform(-0.12, 0.12) * size) for side in stamp.body.size
    )
    paint_stamp(picture, stamp, (left, top), palette, rng.uniform(0.55, 1), rng)
    return picture
