"""The names of Visual Genome's category indices, which nobody published.

The index file numbers its categories and `objects.json` names the objects of each image. A
category gets the name that occurs in (nearly) the same images. As overlap of two sets of images
this takes their Jaccard index, |A ∩ B| / |A ∪ B|: a name that is merely more common, or more
rare, than the category does not reach 1.
"""

from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from satl.core.errors import UserError
from satl.data.vg.index import image_number, presence, read_index
from satl.data.vg.objects import read_objects

MINIMUM_OVERLAP = 0.5
# A name in fewer images than this share of the rarest category's cannot overlap any by more,
# and of the tens of thousands of names nearly all are so rare.
CANDIDATE_SHARE = 0.1


@dataclass(frozen=True)
class Match:
    """One category and its name; overlaps are Jaccard indices in [0, 1] of sets of images."""

    index: int
    name: str
    overlap: float
    runner_up: str | None
    runner_up_overlap: float
    images: int
    by_hand: bool = False


def derive_names(
    index_file: Path, objects_file: Path, categories: int, by_hand: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """`categories` in index order, and how certain each name is.

    Args:
        index_file: `vg_category_500_labels_index.json`.
        objects_file: `objects.json`; read once, in pieces.
        categories: how many indices get a name, from 0.
        by_hand: names that need no derivation, by index.

    Raises:
        UserError: a file is missing or malformed; a category has no image; a category's best
            name overlaps too little or no more than the second; two categories get one name;
            a name is given to an index that is not kept. The message lists all such categories.
    """
    if categories < 1:
        raise UserError(f"categories: must be at least 1, not {categories}")
    index = read_index(index_file)
    present = presence(index, list(index), categories)
    sizes = present.sum(0)
    if not sizes.all():
        raise UserError(
            f"{index_file}: category indices {_few(np.flatnonzero(sizes == 0))} occur in no "
            f"image; does the index really have {categories} categories?"
        )
    rows = {image_number(name, index_file): row for row, name in enumerate(index)}
    images_of, with_objects = _images_of_names(objects_file, rows)
    if not with_objects:
        raise UserError(f"{objects_file}: has none of the {len(rows)} images of {index_file}")
    names, overlaps = _overlaps(present, images_of)
    by_hand = {i: normalise(name) for i, name in (by_hand or {}).items()}
    _check_by_hand(by_hand, categories)
    matches = [
        _match(category, names, overlaps[:, category], int(sizes[category]), by_hand.get(category))
        for category in range(categories)
    ]
    _check_sure(matches, names, overlaps, f"{index_file} and {objects_file}")
    return _report(matches, len(rows), with_objects)


def normalise(name: str) -> str:
    """A name as it is compared: lower case, one space between words."""
    return " ".join(name.lower().split())


def _images_of_names(objects_file: Path, rows: Mapping[int, int]) -> tuple[dict[str, array], int]:
    """Rows of the images that have an object of each name; how many rows occur.

    An object's name is the first of its `names`; the others, if any, are second opinions.
    """
    images_of: dict[str, array] = {}
    seen: set[int] = set()
    for position, record in enumerate(read_objects(objects_file)):
        try:
            row = rows.get(int(record["image_id"]))
            names = {normalise(item["names"][0]) for item in record["objects"] if item["names"]}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{objects_file}: entry {position} is not of the form "
                f'{{"image_id": 1, "objects": [{{"names": ["tree"]}}]}} ({error!r})'
            ) from error
        if row is None:
            continue
        seen.add(row)
        for name in names - {""}:
            images_of.setdefault(name, array("i")).append(row)
    return images_of, len(seen)


def _overlaps(present: np.ndarray, images_of: Mapping[str, array]) -> tuple[list[str], np.ndarray]:
    """The K names that are frequent enough, sorted, and their overlap (K, C) with categories."""
    sizes = present.sum(0)
    names = sorted(n for n, rows in images_of.items() if len(rows) >= CANDIDATE_SHARE * sizes.min())
    overlaps = np.zeros((len(names), len(sizes)))
    for place, name in enumerate(names):
        rows = np.unique(np.frombuffer(images_of[name], dtype=np.intc))
        common = present[rows].sum(0)
        overlaps[place] = common / (len(rows) + sizes - common)
    return names, overlaps


def _match(
    category: int, names: list[str], overlap: np.ndarray, images: int, by_hand: str | None
) -> Match:
    """The name given by hand, or the one of the largest overlap; the runner-up is another name."""
    ranked = [(names[k], float(overlap[k])) for k in _nearest(overlap, 2)]
    if by_hand is not None:
        own = float(overlap[names.index(by_hand)]) if by_hand in names else 0.0
        ranked = [(by_hand, own), *(pair for pair in ranked if pair[0] != by_hand)]
    ranked += [(None, 0.0)] * (2 - len(ranked))
    (name, first), (second_name, second) = ranked[:2]
    return Match(
        category, name or "", first, second_name, second, images, by_hand=by_hand is not None
    )


def _nearest(overlap: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(-overlap, kind="stable")[:count]


def _check_by_hand(by_hand: Mapping[int, str], categories: int) -> None:
    for index, name in by_hand.items():
        if not 0 <= index < categories:
            raise UserError(
                f"names: index {index} ({name!r}) is none of the {categories} categories"
            )
        if not name:
            raise UserError(f"names: the name of index {index} is empty")


def _check_sure(matches: list[Match], names: list[str], overlaps: np.ndarray, files: str) -> None:
    """Raises UserError that lists the categories without a sure name of their own."""
    users: dict[str, list[int]] = {}
    for match in matches:
        users.setdefault(match.name, []).append(match.index)
    problems = []
    for match in matches:
        doubt = _doubt(match, [index for index in users[match.name] if index != match.index])
        if doubt:
            overlap = overlaps[:, match.index]
            near = ", ".join(f"{names[k]!r} {overlap[k]:.2f}" for k in _nearest(overlap, 3))
            problems.append(
                f"  index {match.index} ({match.images} images): {doubt}; nearest: {near or 'none'}"
            )
    if problems:
        raise UserError(
            f"{files}: {len(problems)} of {len(matches)} categories get no sure name:\n"
            + "\n".join(problems)
            + "\nIf the two files belong together, give these names by hand, in the data set's "
            "`names`."
        )


def _doubt(match: Match, others: list[int]) -> str | None:
    """What is wrong with a match, if anything; `others` are categories of the same name."""
    if not match.by_hand and match.overlap < MINIMUM_OVERLAP:
        return f"no name overlaps by {MINIMUM_OVERLAP}"
    if others:
        return f"{match.name!r} is also the name of index {', '.join(map(str, others))}"
    if not match.by_hand and match.overlap == match.runner_up_overlap:
        return "two names overlap equally"
    return None


def _report(matches: list[Match], images: int, with_objects: int) -> dict[str, Any]:
    derived = [match for match in matches if not match.by_hand]
    weakest = min(derived, key=lambda match: match.overlap, default=None)
    return {
        "categories": [match.name for match in matches],
        "weakest": weakest and asdict(weakest),
        "by_hand": {str(match.index): match.name for match in matches if match.by_hand},
        "images": images,
        "images_without_objects": images - with_objects,
        "matches": [asdict(match) for match in matches],
    }


def _few(values: np.ndarray) -> str:
    return ", ".join(map(str, values[:5])) + (", …" if len(values) > 5 else "")
