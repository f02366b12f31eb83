"""Word vectors of category names: from a file in GloVe's text format, or a named substitute."""

import re
from pathlib import Path

import numpy as np

from satl.errors import UserError
from satl.files import existing
from satl.seeds import derive_seed

SUBSTITUTE_DIM = 300


def word_vectors(categories: tuple[str, ...], path: str | None) -> np.ndarray:
    """(C, word_dim) float32; a name of several words is the mean of its words' vectors.

    Without a file: random unit-variance vectors that depend on the name alone. They carry no
    meaning (they only tell categories apart) and are no replacement for GloVe in a paper.

    Raises:
        UserError: the file is missing, malformed, or lacks a word.
    """
    if path is None:
        return np.stack([_substitute(name) for name in categories])
    wanted = {word for name in categories for word in _words(name)}
    found = _read(Path(path), wanted)
    missing = sorted(wanted - found.keys())
    if missing:
        raise UserError(f"{path}: no word vector for {', '.join(missing)}")
    return np.stack([np.mean([found[w] for w in _words(name)], axis=0) for name in categories])


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\s_/-]+", name.lower()) if word]


def _substitute(name: str) -> np.ndarray:
    generator = np.random.default_rng(derive_seed(0, "word", name))
    return generator.standard_normal(SUBSTITUTE_DIM).astype(np.float32)


def _read(path: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    found = {}
    with open(existing(path, "word vector file"), encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            word, _, values = line.rstrip("\n").partition(" ")
            if word in wanted and word not in found:
                try:
                    found[word] = np.array(values.split(), dtype=np.float32)
                except ValueError as error:
                    raise UserError(f"{path}, line {number}: not a word vector") from error
    lengths = {len(vector) for vector in found.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise UserError(f"{path}: word vectors of different lengths: {sorted(lengths)}")
    return found
