"""Word vectors of category names: from a file in GloVe's text format, or a named substitute."""

import re
from pathlib import Path

import numpy as np

from satl.core.errors import UserError
from satl.core.files import existing, write_text
from satl.core.seeds import derive_seed

SUBSTITUTE_DIM = 300


def word_embeddings(categories: tuple[str, ...], path: Path | str | None) -> np.ndarray:
    """(C, word_dim) float32; a name of several words is the mean of its words' vectors.

    So are the published GloVe vectors of COCO's two-word names: twice "hot dog" less "dog" has
    the few decimals of GloVe's own text. Names are read in lower case, and as they are spelt.

    Without a file: random unit-variance vectors that depend on the name alone. They carry no
    meaning (they only tell categories apart) and are no replacement for GloVe in a paper.

    Raises:
        UserError: the file is missing, malformed, or lacks a word.
    """
    if path is None:
        return np.stack([_substitute(name) for name in categories])
    found = {word: vector for word, (_, vector) in _read(Path(path), categories).items()}
    return np.stack([np.mean([found[w] for w in _words(name)], axis=0) for name in categories])


def extract_embeddings(path: Path, categories: tuple[str, ...], out: Path) -> int:
    """Copy the lines of the words in the names of `categories` to `out`; returns how many.

    `word_embeddings` finds there what it would find in the large file at `path`.

    Raises:
        UserError: the file is missing, malformed, or lacks a word.
    """
    lines = [line for line, _ in _read(path, categories).values()]
    write_text(out, "".join(f"{line}\n" for line in lines))
    return len(lines)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\s_/-]+", name.lower()) if word]


def _substitute(name: str) -> np.ndarray:
    generator = np.random.default_rng(derive_seed(0, "word", name))
    return generator.standard_normal(SUBSTITUTE_DIM).astype(np.float32)


def _read(path: Path, categories: tuple[str, ...]) -> dict[str, tuple[str, np.ndarray]]:
    """Line and vector of every word in the names of `categories`."""
    wanted = {word for name in categories for word in _words(name)}
    found = {}
    # Only "\n" ends a line: GloVe has words with other characters that Python would break at.
    with open(existing(path, "word vector file"), encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            word, _, values = line.rstrip("\r\n").partition(" ")
            if word in wanted and word not in found:
                try:
                    vector = np.array(values.split(), dtype=np.float32)
                except ValueError as error:
                    raise UserError(f"{path}, line {number}: not a word vector") from error
                found[word] = (f"{word} {values}", vector)
                if len(found) == len(wanted):  # of GloVe's five gigabytes, mostly the first
                    break
    missing = sorted(wanted - found.keys())
    if missing:
        raise UserError(f"{path}: no word vector for {', '.join(missing)}")
    lengths = {len(vector) for _, vector in found.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise UserError(f"{path}: word vectors of different lengths: {sorted(lengths)}")
    return found
