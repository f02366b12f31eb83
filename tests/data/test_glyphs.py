"""The embedded data set: what it promises about its bytes, its labels and its statistics."""

import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from satl.core.errors import UserError
from satl.data.glyphs.catalogue import (
    CATEGORIES,
    DISTRACTORS,
    GROUPS,
    MOODS,
    PRETRAINING_CHARACTERS,
)
from satl.data.glyphs.dataset import draw_dataset, single_glyphs
from satl.data.glyphs.drawing import PATTERNS, glyph_masks, stamp_glyph
from satl.data.glyphs.scenes import _only_visible, _Placed, draw_scene

CATEGORY_CHARACTERS = "".join(category.characters for category in CATEGORIES)
TRAIN_IMAGES = 400


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("glyphs") / "drawn"
    draw_dataset(folder, TRAIN_IMAGES, 3, seed=5)
    return folder


@pytest.fixture(scope="module")
def labels(drawn) -> np.ndarray:
    """Which category (column) is in which training image (row)."""
    content = json.loads((drawn / "instances_train.json").read_text())
    column = {category.id: number for number, category in enumerate(CATEGORIES)}
    table = np.zeros((TRAIN_IMAGES, len(CATEGORIES)), dtype=bool)
    for annotation in content["annotations"]:
        table[annotation["image_id"] - 1, column[annotation["category_id"]]] = True
    return table


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# The bytes


def test_same_seed_draws_the_same_bytes(tmp_path):
    draw_dataset(tmp_path / "one", 4, 2, seed=1)
    draw_dataset(tmp_path / "two", 4, 2, seed=1)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_other_seeds_and_splits_draw_other_pictures(tmp_path):
    draw_dataset(tmp_path / "one", 4, 4, seed=1)
    draw_dataset(tmp_path / "two", 4, 4, seed=2)
    pictures = [
        path.read_bytes()
        for folder in ("one", "two")
        for path in (tmp_path / folder).rglob("*.jpg")
    ]
    assert len(set(pictures)) == len(pictures) == 16


def test_a_picture_does_not_depend_on_how_many_there_are(tmp_path, drawn):
    draw_dataset(tmp_path / "few", 3, 1, seed=5)
    for name, content in contents(tmp_path / "few").items():
        if name.endswith(".jpg"):
            assert content == (drawn / name).read_bytes()
    few, many = (
        json.loads((folder / "instances_train.json").read_text())["annotations"]
        for folder in (tmp_path / "few", drawn)
    )
    assert few == many[: len(few)]


def test_scene_comes_from_the_generator_alone():
    np.random.seed(0)
    first, objects = draw_scene(np.random.default_rng(3))
    np.random.seed(1)
    second, again = draw_scene(np.random.default_rng(3))
    assert first.tobytes() == second.tobytes()
    assert objects == again


# The annotations


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools' own
def test_pycocotools_reads_it(drawn):
    coco = COCO(str(drawn / "instances_train.json"))
    assert len(coco.getImgIds()) == TRAIN_IMAGES
    names = [category["name"] for category in coco.loadCats(coco.getCatIds())]
    assert names == [category.name for category in CATEGORIES]
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert annotations and all(coco.annToMask(one).sum() > 0 for one in annotations)


@pytest.mark.parametrize("split", ["train", "test"])
def test_annotations_are_consistent(drawn, split):
    content = json.loads((drawn / f"instances_{split}.json").read_text())
    images = {image["id"]: image for image in content["images"]}
    category_ids = {category["id"] for category in content["categories"]}
    annotations = content["annotations"]

    assert len(images) == len(content["images"]) == len(list((drawn / split).iterdir()))
    assert len({annotation["id"] for annotation in annotations}) == len(annotations)
    assert {annotation["image_id"] for annotation in annotations} == set(images)
    assert {annotation["category_id"] for annotation in annotations} <= category_ids
    for image in images.values():
        with Image.open(drawn / split / image["file_name"]) as picture:
            assert picture.format == "JPEG"
            assert picture.size == (image["width"], image["height"])
    for annotation in annotations:
        left, top, width, height = annotation["bbox"]
        image = images[annotation["image_id"]]
        assert left >= 0 and left + width <= image["width"]
        assert top >= 0 and top + height <= image["height"]
        assert 0 < annotation["area"] <= width * height
        assert annotation["iscrowd"] == 0


def test_category_ids_have_gaps_and_names_are_unique():
    ids = [category.id for category in CATEGORIES]
    assert ids == sorted(set(ids))
    assert max(ids) > len(ids)
    assert len({category.name for category in CATEGORIES}) == len(CATEGORIES)


def test_objects_are_where_their_boxes_say():
    """Inside the boxes, colours vary more than outside, where there is only background."""
    for index in range(20):
        picture, objects = draw_scene(np.random.default_rng(index))
        pixels = np.asarray(picture, dtype=float)
        empty = np.ones(pixels.shape[:2], dtype=bool)
        for item in objects:
            left, top, width, height = item.box
            empty[top : top + height, left : left + width] = False
        if empty.sum() < 500:
            continue
        spread = [pixels[where].std(axis=0).mean() for where in (~empty, empty)]
        assert spread[0] > 1.2 * spread[1]


def test_hidden_objects_are_left_out():
    any_category = CATEGORIES[0]
    small, large = (stamp_glyph("♥", length, 0) for length in (20, 60))
    below, above = _Placed(any_category, small, 50, 45), _Placed(any_category, large, 30, 30)
    assert _only_visible([below, above], (160, 120)) == [above]
    assert _only_visible([above, below], (160, 120)) == [above, below]
    outside = _Placed(any_category, large, -40, 30)
    assert _only_visible([outside], (160, 120)) == []


# The statistics


def test_frequencies_are_long_tailed(labels):
    frequency = np.sort(labels.mean(axis=0))
    assert 0.01 <= frequency[0] <= 0.06
    assert 0.25 <= frequency[-1] <= 0.42
    assert frequency[:5].mean() < frequency[-5:].mean() / 4


def test_categories_per_image(labels):
    count = labels.sum(axis=1)
    assert count.min() >= 1 and count.max() <= 6
    assert 2.5 <= count.mean() <= 3.6


def test_groups_co_occur(labels):
    frequency = labels.mean(axis=0)
    seen, expected = Counter(), Counter()
    for one, two in itertools.combinations(range(len(CATEGORIES)), 2):
        same = CATEGORIES[one].group == CATEGORIES[two].group
        seen[same] += (labels[:, one] & labels[:, two]).mean()
        expected[same] += frequency[one] * frequency[two]
    assert seen[True] > 1.8 * expected[True]
    assert 0.3 * expected[False] < seen[False] < expected[False]


# The characters


def test_characters_are_in_the_font_and_all_differ():
    missing = glyph_masks("\U0010ffff")[0].tobytes()
    assert missing == glyph_masks("\U0010fffe")[0].tobytes()
    characters = CATEGORY_CHARACTERS + PRETRAINING_CHARACTERS
    masks = {glyph_masks(character)[0].tobytes() for character in characters}
    assert missing not in masks
    assert len(masks) == len(characters)
    assert missing not in {glyph_masks(character)[0].tobytes() for character in DISTRACTORS}


def test_pretraining_gives_no_category_away():
    assert not set(PRETRAINING_CHARACTERS) & set(CATEGORY_CHARACTERS)
    assert not set(DISTRACTORS) & set(CATEGORY_CHARACTERS)
    assert 80 <= len(PRETRAINING_CHARACTERS) <= 100


def test_every_group_has_a_mood_and_every_mood_a_pattern():
    assert set(GROUPS) <= set(MOODS)
    assert {mood.pattern for mood in MOODS.values()} <= set(PATTERNS)


# Single glyphs


def test_single_glyphs():
    pictures, classes = single_glyphs(len(PRETRAINING_CHARACTERS) + 3, 32, seed=1)
    assert pictures.shape == (len(PRETRAINING_CHARACTERS) + 3, 3, 32, 32)
    assert pictures.dtype == np.uint8 and classes.dtype == np.int64
    assert set(classes) == set(range(len(PRETRAINING_CHARACTERS)))
    few, few_classes = single_glyphs(5, 32, seed=1)
    assert (few == pictures[:5]).all() and (few_classes == classes[:5]).all()
    other, _ = single_glyphs(5, 32, seed=2)
    assert all((one != two).any() for one, two in zip(few, other, strict=True))


# Folders and errors


@pytest.mark.parametrize(
    ("counts", "seed", "words"),
    [((0, 1), 0, "train_images is 0"), ((1, -2), 0, "test_images is -2"), ((1, 1), -1, "seed is")],
)
def test_numbers_out_of_range(tmp_path, counts, seed, words):
    with pytest.raises(UserError, match=words):
        draw_dataset(tmp_path / "new", *counts, seed=seed)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [(0, 64, 0), (1, 8, 0), (1, 64, -1)])
def test_single_glyphs_out_of_range(arguments):
    with pytest.raises(UserError):
        single_glyphs(*arguments)


def test_own_folder_is_replaced(tmp_path):
    draw_dataset(tmp_path / "new" / "set", 2, 1)
    draw_dataset(tmp_path / "new" / "set", 1, 1)
    assert len(list((tmp_path / "new" / "set" / "train").iterdir())) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["set"]


def test_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match=tmp_path.name):
        draw_dataset(tmp_path, 1, 1)
    with pytest.raises(UserError, match=r"mine\.txt is a file"):
        draw_dataset(tmp_path / "mine.txt", 1, 1)
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_interrupted_drawing_leaves_nothing(tmp_path):
    def stop(indices):
        yield next(iter(indices))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_dataset(tmp_path / "new", 3, 1, progress=stop)
    assert not list(tmp_path.iterdir())


def test_progress_sees_every_picture(tmp_path):
    seen = []

    def note(indices):
        for index in indices:
            seen.append(index)
            yield index

    draw_dataset(tmp_path / "new", 3, 2, progress=note)
    assert seen == [0, 1, 2, 0, 1]
