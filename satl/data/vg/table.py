"""Visual Genome's image list, index of labels and category names to a label table."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from satl.core.errors import UserError
from satl.core.labels import NEGATIVE, POSITIVE
from satl.data.image_list import read_list, some
from satl.data.table import LabelTable
from satl.data.vg.index import Index, image_number, presence, read_index, read_json


def read_vg(
    image_list: Path,
    index: Path,
    names: Path,
    images: Sequence[Path],
    *,
    apart_from: Path | None = None,
    expected_images: int | None = None,
) -> LabelTable:
    """The label table of one image list. Rows in the order of the list, columns in index order.

    Args:
        image_list: text file, one image file name per line.
        index: `vg_category_500_labels_index.json`. Indices without a name do not count.
        names: the category names that `derive_names` found, as JSON.
        images: the folders, in one of which each image lies.
        apart_from: another image list, which must share no image with this one.
        expected_images: how many images the list must have.

    Raises:
        UserError: a file is missing or malformed; an image is listed twice, in both lists, not
            in the index, or not in exactly one folder; the count is not the expected one.
    """
    listed = read_list(image_list)
    if apart_from is not None:
        _check_apart(listed, read_list(apart_from), image_list, apart_from)
    if expected_images is not None and len(listed) != expected_images:
        raise UserError(
            f"{image_list}: {len(listed)} images, but expected_images says {expected_images}; "
            "is the list complete, and of the right split?"
        )
    labels_of = read_index(index)
    _check_indexed(listed, labels_of, image_list, index)
    derived = _read_names(names)
    categories = tuple(derived["categories"])
    present = presence(labels_of, listed, len(categories))
    folder, file_names = locate(listed, images, image_list)
    return LabelTable(
        folder=folder,
        file_names=file_names,
        image_ids=np.array([image_number(name, image_list) for name in listed], dtype=np.int64),
        categories=categories,
        labels=np.where(present, POSITIVE, NEGATIVE).astype(np.int8),
        info={
            "image_list": str(image_list),
            "index": str(index),
            "names": str(names),
            "weakest_name": derived["weakest"],
            "names_by_hand": derived["by_hand"],
        },
    )


def locate(
    names: Sequence[str], folders: Sequence[Path], image_list: Path
) -> tuple[str, tuple[str, ...]]:
    """Where the images lie: the common parent of `folders`, and their paths below it.

    Raises:
        UserError: a folder is missing, or an image is in none of the folders or in several.
    """
    where: dict[str, list[Path]] = {name: [] for name in names}
    for folder in folders:
        if not Path(folder).is_dir():
            raise UserError(f"{folder}: no such image folder (for {image_list})")
        # One listing instead of a question to the file system for every image.
        for entry in os.scandir(folder):
            if entry.name in where:
                where[entry.name].append(Path(folder))
    looked_in = " and ".join(map(str, folders))
    missing = [name for name, found in where.items() if not found]
    if missing:
        raise UserError(
            f"{looked_in}: {len(missing)} of the {len(names)} images that {image_list} lists are "
            f"missing: {some(missing)}"
        )
    double = [name for name, found in where.items() if len(found) > 1]
    if double:
        raise UserError(
            f"{looked_in}: {len(double)} images of {image_list} lie in more than one of these "
            f"folders: {some(double)}; leave each in one"
        )
    parent = _common_parent(folders)
    below = {folder: os.path.relpath(folder, parent) for folder in map(Path, folders)}
    paths = (os.path.normpath(os.path.join(below[found[0]], n)) for n, found in where.items())
    return parent, tuple(paths)


def _common_parent(folders: Sequence[Path]) -> str:
    if len({os.path.isabs(folder) for folder in folders}) > 1:
        return os.path.commonpath([os.path.abspath(folder) for folder in folders])
    return os.path.commonpath([os.path.normpath(folder) for folder in folders]) or os.curdir


def _check_apart(listed: list[str], others: list[str], here: Path, there: Path) -> None:
    theirs = set(others)
    both = [name for name in listed if name in theirs]
    if both:
        raise UserError(f"{here} and {there} share {len(both)} images: {some(both)}")


def _check_indexed(listed: list[str], labels_of: Index, image_list: Path, index: Path) -> None:
    unknown = [name for name in listed if name not in labels_of]
    if unknown:
        raise UserError(
            f"{index}: lacks {len(unknown)} of the {len(listed)} images that {image_list} lists: "
            f"{some(unknown)}; the two files do not belong together"
        )


def _read_names(path: Path) -> dict[str, Any]:
    content = read_json(path, "file of category names")
    if not isinstance(content, dict) or {"categories", "weakest", "by_hand"} - content.keys():
        raise UserError(f"{path}: not the category names that `satl prepare` writes")
    return content
