"""One scene of the embedded data set: which glyphs, where, and what of them can be seen."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from satl.data.glyphs.catalogue import CATEGORIES, GROUPS, MOODS, STRAY_FACTOR, Category, Palette
from satl.data.glyphs.drawing import Stamp, paint_background, paint_stamp, stamp_glyph

SCENE_SIZES = ((160, 120), (160, 120), (120, 160), (144, 144), (176, 112), (168, 128), (128, 168))
MAX_CATEGORIES = 6
MIN_VISIBLE_SHARE = 0.5
"""An object of which less than this could be seen is left out of the picture altogether."""


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
    pattern, palette = choose_mood(group, rng)
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


def choose_mood(group: str, rng: np.random.Generator) -> tuple[str, Palette]:
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
