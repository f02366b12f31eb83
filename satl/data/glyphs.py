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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from satl.data.glyphs_catalogue import (
    CATEGORIES,
    GROUPS,
    MOODS,
    PRETRAINING_CHARACTERS,
    STRAY_FACTOR,
    Category,
    Palette,
)
from satl.data.glyphs_drawing import (
    Stamp,
    paint_background,
    paint_stamp,
    stamp_glyph,
)
from satl.errors import UserError

SCENE_SIZES = ((160, 120), (160, 120), (120, 160), (144, 144), (176, 112), (168, 128), (128, 168))
MAX_CATEGORIES = 6
MIN_VISIBLE_SHARE = 0.5
"""An object of which less than this could be seen is left out of the picture altogether."""

MARKER = ".glyphs"
"""This empty file marks a folder as drawn by `draw_dataset`, which may then be replaced."""

# Every picture has a generator of its own, seeded by (seed, stream, index).
STREAMS = {"train": 0, "test": 1, "single": 2}


@dataclass(frozen=True)
class SceneObject:
    """One annotated object; all lengths in pixels, of the part that can be seen."""

    category: Category
    box: tuple[int, int, int, int]
    """Left, top, width, height."""
    area: int


@dataclass(frozen=True)
class _Placed:
    """A glyph and where its top left corner goes, in pixels of the picture."""

    category: Category
    stamp: Stamp
    left: int
    top: int


def draw_scene(rng: np.random.Generator) -> tuple[Image.Image, list[SceneObject]]:
    """One scene: an RGB picture of about 160 x 120 pixels, and its objects, one or more."""
    size = SCENE_SIZES[rng.integers(len(SCENE_SIZES))]
    group = GROUPS[rng.integers(len(GROUPS))]
    placed = _arrange(_choose_categories(group, rng), size, rng)
    pattern, palette = _choose_mood(group, rng)
    picture = paint_background(size, pattern, palette, rng)
    for item in placed:
        contrast = item.category.contrast
        paint_stamp(picture, item.stamp, (item.left, item.top), palette, contrast, rng)
    owners = _owners(placed, size)
    objects = [
        _scene_object(item.category, owners == number) for number, item in enumerate(placed, 1)
    ]
    return picture, objects


def _choose_categories(group: str, rng: np.random.Generator) -> list[Category]:
    """Between 1 and `MAX_CATEGORIES` categories in random order, mostly of `group`."""
    chances = [
        category.frequency * (1 if category.group == group else STRAY_FACTOR)
        for category in CATEGORIES
    ]
    while True:
        chosen = np.flatnonzero(rng.random(len(chances)) < chances)
        if 1 <= len(chosen) <= MAX_CATEGORIES:
            return [CATEGORIES[number] for number in rng.permutation(chosen)]


def _choose_mood(group: str, rng: np.random.Generator) -> tuple[str, Palette]:
    """A pattern and a palette: a background hints at the group, but does not give it away."""
    names = list(MOODS)
    mood = MOODS[group if rng.random() < 0.5 else names[rng.integers(len(names))]]
    return mood.pattern, mood.palettes[rng.integers(len(mood.palettes))]


def _arrange(
    categories: list[Category], size: tuple[int, int], rng: np.random.Generator
) -> list[_Placed]:
    """Instances of the categories, in the order in which they are painted over each other."""
    placed: list[_Placed] = []
    for category in categories:
        for _ in range(1 + min(4, rng.poisson(category.crowd))):
            covered = _owners(placed, size) > 0
            placed.append(_place(category, covered, rng))
    return _only_visible(placed, size)


def _place(category: Category, covered: np.ndarray, rng: np.random.Generator) -> _Placed:
    """A new instance at the least crowded of three random spots: scenes overlap, but not much.

    `covered`, (height, width) of the picture, is true where an earlier instance is.
    """
    character = category.characters[rng.integers(len(category.characters))]
    length = rng.uniform(*category.size) * min(covered.shape)
    stamp = stamp_glyph(character, length, rng.uniform(-category.tilt, category.tilt))
    height, width = stamp.solid.shape
    spots = [
        _Placed(
            category,
            stamp,
            left=round(rng.uniform(-0.15 * width, covered.shape[1] - 0.85 * width)),
            top=round(rng.uniform(-0.15 * height, covered.shape[0] - 0.85 * height)),
        )
        for _ in range(3)
    ]

    def crowding(spot: _Placed) -> int:
        window, solid = _window(spot, covered)
        return np.count_nonzero(covered[window] & solid)

    return min(spots, key=crowding)


def _window(item: _Placed, canvas: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """The part of `canvas` (height, width) below an item, and the item's solid pixels there."""
    top, left = max(item.top, 0), max(item.left, 0)
    solid = item.stamp.solid[top - item.top :, left - item.left :]
    solid = solid[: canvas.shape[0] - top, : canvas.shape[1] - left]
    return (slice(top, top + solid.shape[0]), slice(left, left + solid.shape[1])), solid


def _owners(placed: list[_Placed], size: tuple[int, int]) -> np.ndarray:
    """Which item is on top at each pixel: (height, width), 1 for the first item, 0 for none."""
    owners = np.zeros((size[1], size[0]), dtype=np.uint8)
    for number, item in enumerate(placed, 1):
        window, solid = _window(item, owners)
        owners[window][solid] = number
    return owners


def _only_visible(placed: list[_Placed], size: tuple[int, int]) -> list[_Placed]:
    """The items of which enough can be seen, over each other and within the frame."""
    seen = np.bincount(_owners(placed, size).ravel(), minlength=len(placed) + 1)
    return [
        item
        for number, item in enumerate(placed, 1)
        if seen[number] >= MIN_VISIBLE_SHARE * np.count_nonzero(item.stamp.solid)
    ]


def _scene_object(category: Category, visible: np.ndarray) -> SceneObject:
    """The object that can be seen at the pixels where `visible` (height, width) is true."""
    rows, columns = np.nonzero(visible)
    left, top = int(columns.min()), int(rows.min())
    box = (left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
    return SceneObject(category, box, area=len(rows))


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
        UserError: a count or the seed is out of range, or `folder` holds something else.
    """
    counts = {"train": train_images, "test": test_images}
    for split, count in counts.items():
        _require(count, 1, f"{split}_images")
    _require(seed, 0, "seed")
    folder = Path(folder).resolve()
    _require_replaceable(folder)

    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        scratch.chmod(0o755)  # mkdtemp keeps other users out
        (scratch / MARKER).touch()
        for split, count in counts.items():
            indices = range(count) if progress is None else progress(range(count))
            _draw_split(scratch, split, indices, seed)
        if folder.exists():
            shutil.rmtree(folder)
        scratch.rename(folder)
    finally:
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
    pattern, palette = _choose_mood(GROUPS[rng.integers(len(GROUPS))], rng)
    picture = paint_background((size, size), pattern, palette, rng)
    stamp = stamp_glyph(character, rng.uniform(0.4, 0.85) * size, rng.uniform(-35, 35))
    left, top = (
        round((size - side) / 2 + rng.uniform(-0.12, 0.12) * size) for side in stamp.body.size
    )
    paint_stamp(picture, stamp, (left, top), palette, rng.uniform(0.55, 1), rng)
    return picture
