"""What tests of decoding share: a table that may be damaged, and what its pixels must be."""

import shutil

import numpy as np
from PIL import Image

from satl.data.images import prepare
from satl.data.images.pixels import open_pixels
from satl.data.images.reading import decode, decode_bytes
from satl.data.table import LabelTable

SIDE = 20


def truncate(table, *rows):
    for row in rows:
        path = table.paths()[row]
        path.write_bytes(path.read_bytes()[:-300])


def names(folder):
    return {path.name for path in folder.iterdir()}


def pixels_of(path, table, side=SIDE):
    out = np.empty((len(table.file_names), 3, side, side), np.uint8)
    open_pixels(path, table, side).gather(range(len(out)), out)
    return out


def decoded(table, side=SIDE):
    return np.stack([decode(path, side).transpose(2, 0, 1) for path in table.paths()])


def record_decoding(monkeypatch):
    seen = []

    def recording(data, path, side):
        seen.append(path)
        return decode_bytes(data, path, side)

    monkeypatch.setattr(prepare, "decode_bytes", recording)
    return seen


def large_table(folder, count):
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    first = folder / "images/0.jpg"
    Image.fromarray(rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)).save(first)
    for index in range(1, count):
        shutil.copy(first, folder / f"images/{index}.jpg")
    return LabelTable(
        str(folder / "images"), tuple(f"{index}.jpg" for index in range(count)),
        np.arange(count), ("a",), np.ones((count, 1), np.int8),
    )  # fmt: skip
