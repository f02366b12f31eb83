"""Visual Genome's index of labels: which category indices each image has."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from satl.core.errors import UserError
from satl.core.files import existing

Index = dict[str, list[int]]
_NUMBERED = re.compile(r"([0-9]+)\.\w+", re.ASCII)


def read_index(path: Path) -> Index:
    """Category indices by image file name, of `vg_category_500_labels_index.json`.

    Raises:
        UserError: the file is missing or something else, or two names share an image number.
    """
    content = read_json(path, "index of labels")
    if not isinstance(content, dict) or not content:
        raise UserError(
            f"{path}: not an index of labels: it must map image file names to category indices"
        )
    for name, indices in content.items():
        if not isinstance(indices, list) or any(type(i) is not int or i < 0 for i in indices):
            raise UserError(f"{path}: {name!r} needs a list of category indices from 0")
    numbers: dict[int, str] = {}
    for name in content:
        other = numbers.setdefault(image_number(name, path), name)
        if other != name:
            raise UserError(f"{path}: {other!r} and {name!r} are one image number twice")
    return content


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file. Raises UserError if it (`what` it is) is missing or no JSON."""
    try:
        return json.loads(existing(path, what).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not valid JSON ({error}); make or fetch this {what} again"
        ) from error


def image_number(name: str, source: Path) -> int:
    """Visual Genome's image id, which its file names are: 2328403.jpg.

    Raises:
        UserError: the name, which stands in `source`, is not of this form.
    """
    match = _NUMBERED.fullmatch(name)
    if match is None:
        raise UserError(f"{source}: {name!r} is not an image file name like 2328403.jpg")
    return int(match[1])


def presence(index: Index, names: Sequence[str], categories: int) -> np.ndarray:
    """(N, C) bool: whether image n of `names` has category c; indices from C on do not count."""
    present = np.zeros((len(names), categories), dtype=bool)
    for row, name in enumerate(names):
        present[row, [category for category in index[name] if category < categories]] = True
    return present
