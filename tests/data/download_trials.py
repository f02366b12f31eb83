"""What tests of downloads share: contents, and one source to get from a server."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from satl.config import parse
from satl.download.http import RetryPolicy
from satl.download.provide import provide

ROOT = Path(__file__).parents[2]
FAST = RetryPolicy(
    connect=2, stall=0.4, attempts=4, progress=10**6, backoff=0.01, longest_wait=0.5
)  # fmt: skip
BODY = np.random.default_rng(0).bytes(700_000)
OTHER = np.random.default_rng(1).bytes(700_000)
FILE, PROVIDED = "test_list_500.txt", "vg/test_list_500.txt"
ARCHIVE = "val2014.zip"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def config(folder, sources, **changes):
    return {
        "name": "x",
        "datasets": {"d": {"format": "glyphs"}},
        "methods": {"satl": {}},
        "known_ratios": [0.5],
        "model": {"backbone": "tiny", "weights": "random"},
        "data_folder": str(folder / "data"),
        "sources": sources,
        **changes,
    }


def get(folder, name=FILE, retry=FAST, keep=False, /, **override):
    """Provide one source; returns its receipt."""
    experiment = parse(config(folder, {name: override}, keep_archives=keep), "x.yaml")
    provide(experiment, [name], retry)
    return json.loads((folder / f"data/receipts/{name}.json").read_text())


def content(folder):
    return (folder / "data" / PROVIDED).read_bytes()


def leftovers(folder):
    return sorted(p.name for p in (folder / "data/downloads").iterdir() if p.name[0] != ".")
