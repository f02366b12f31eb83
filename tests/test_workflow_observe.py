"""Labels that are not known at random, and labels that are partial as they are, to the tables."""

import json

import numpy as np
import pandas as pd
import pytest
from workflow_trials import TINY, copy_tree, output, planned, snakemake, write_config

from satl.data.masks import Mask
from satl.data.splits import uniform_observed
from satl.data.table import LabelTable

pytestmark = pytest.mark.slow

# The embedded pictures, of whose labels a random half is not known to anybody.
UNSURE = '''
"""Glyphs with labels that nobody knows."""

from dataclasses import replace
from typing import Literal

from satl.data.formats.glyphs import GlyphsFormat


class UnsureFormat(GlyphsFormat):
    """Glyphs with labels that nobody knows."""

    format: Literal["unsure"]

    def read(self, part, prepared=None):
        import numpy as np

        table = super().read(part, prepared)
        known = np.random.default_rng(0).random(table.labels.shape) < 0.5
        return replace(table, labels=np.where(known, table.labels, 0).astype(np.int8))
'''
SIZE = {"train_images": 60, "test_images": 30}
OBSERVED = {
    "name": "observed",
    "datasets": {
        "glyphs": {"format": "glyphs", **SIZE},
        "unsure": {"format": "unsure", **SIZE, "observe": "as_is"},
    },
    "methods": {"fixed_threshold": {"warmup": 0, "threshold": 0.5, "negative_threshold": 0.5}},
    "known_ratios": [0.5],
    "observe": {
        "single_positive": None,
        "large": {"kind": "salient", "by": "size"},
        "theirs": {"kind": "file", "path": "mask.npz"},
    },
    "model": {**TINY["model"], "weights": "random"},
    "training": {**TINY["training"], "epochs": 2},
    "report": {"resamples": 100},
    "runs_per_job": 3,
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A source tree in which the experiment above has run to its end."""
    folder = tmp_path_factory.mktemp("observed")
    copy_tree(folder)
    (folder / "satl/data/formats/unsure.py").write_text(UNSURE)
    names = tuple(f"{i:06d}.jpg" for i in range(60))
    known = np.random.default_rng(1).random((60, 20)) < 0.7
    Mask(known, names, categories(), {}).save(folder / "mask.npz")
    write_config(folder, **OBSERVED)
    done = snakemake(folder)
    assert done.returncode == 0, output(done)
    return folder


def categories():
    from satl.data.glyphs.catalogue import CATEGORIES

    return tuple(category.name for category in sorted(CATEGORIES, key=lambda one: one.id))


def test_each_setting_has_its_labels_and_its_row(tree):
    results = tree / "results/observed"
    full = LabelTable.load(results / "data/glyphs/train.npz").labels
    single = LabelTable.load(results / "data/glyphs/known-single_positive.npz").labels
    assert np.array_equal(single, uniform_observed(full, 1, 0, 1200))
    large = LabelTable.load(results / "data/glyphs/known-large.npz")
    assert ((large.labels > 0).sum(1) == 1).all() and large.objects is None
    assert LabelTable.load(results / "data/glyphs/train.npz").objects is not None
    assert "labels known: large" in (results / "tables/glyphs-large.md").read_text()
    theirs = LabelTable.load(results / "data/glyphs/known-theirs.npz")
    of_images = Mask.load(tree / "mask.npz").of_images(theirs, tree / "mask.npz")
    assert np.array_equal(theirs.labels != 0, of_images.known)
    summary = pd.read_csv(results / "summary.csv")
    last = summary[summary["selection"] == "last"]
    assert [*zip(last["dataset"], last["known_ratio"], strict=True)] == [
        ("glyphs", "0.50"), ("glyphs", "large"), ("glyphs", "single_positive"),
        ("glyphs", "theirs"), ("unsure", "as_is"),
    ]  # fmt: skip
    assert last["mAP"].between(0, 100).all()


def test_labels_that_are_partial_as_they_are_reach_the_tables(tree):
    results = tree / "results/observed"
    observed = LabelTable.load(results / "data/unsure/known-as_is.npz")
    full = LabelTable.load(results / "data/unsure/train.npz")
    assert np.array_equal(observed.labels, full.labels) and (full.labels == 0).any()
    run = results / "runs/unsure/fixed_threshold/known-as_is/seed-0"
    metrics = json.loads((run / "metrics.json").read_text())
    known = int((LabelTable.load(results / "data/unsure/test.npz").labels != 0).sum())
    assert metrics["test_entries"] == {"judged": known, "all": 600}
    assert metrics["hidden_entries"]["judged"] == 0 < metrics["hidden_entries"]["all"]
    assert all(epoch["pseudo_coverage"] is None for epoch in metrics["epochs"])
    table = (results / "tables/unsure.md").read_text()
    assert f"Of 600 labels of the test images, {known} are known and judged" in table
    index = json.loads((results / "figures/index.json").read_text())
    reasons = {figure["name"]: figure["reason"] for figure in index["left_out"]}
    assert reasons["unsure-pseudo-labels"] == "no ground truth is behind the unknown labels"


def test_a_changed_setting_makes_its_own_runs_again(tree):
    settings = {**OBSERVED["observe"], "single_positive": {"positives": 2}}
    write_config(tree, **{**OBSERVED, "observe": settings})
    jobs = planned(tree)
    assert jobs["split"] == {f"glyphs-{part}known-single_positive" for part in ("", "validation-")}
    assert jobs.keys() == {"all", "split", "train", "evaluate", "report", "track"}
