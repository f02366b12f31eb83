"""What keeps a finished run from being used again, and what does not."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from trials import MODEL, TRAINING, spec

from satl.core.strict import Strict, result_affecting, setting
from satl.data.images.prepare import prepare_images
from satl.data.observe.single_positive import SinglePositiveObservation
from satl.data.splits import split
from satl.runs.fingerprint import differences, name_of
from satl.runs.layout import RunKey
from satl.runs.store import Store
from satl.training.context import run_fingerprint


@pytest.fixture
def recorded(shared, observed, tmp_path):
    return run_fingerprint(spec(observed, tmp_path), shared)


def test_speed_and_places_change_nothing(shared, observed, tmp_path, recorded):
    faster = TRAINING.model_copy(update={"workers": 9, "image_cache": "disk"})
    moved = replace(observed, folder="elsewhere")
    now = run_fingerprint(spec(moved, tmp_path / "x"), replace(shared, training=faster))
    assert differences(recorded, now) == []
    assert name_of(recorded) == name_of(now)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"training": TRAINING.model_copy(update={"epochs": 9})},
            "training.epochs: 3 there, now 9",
        ),
        ({"training": TRAINING.model_copy(update={"threads": 2})}, "training.threads: 1 there"),
        ({"model": MODEL.model_copy(update={"feature_dim": 8})}, "model.feature_dim: 12 there"),
        ({"device": torch.device("cuda")}, "device: 'cpu' there, now 'cuda'"),
    ],
)
def test_what_can_change_a_number_is_named(shared, observed, tmp_path, recorded, change, named):
    now = run_fingerprint(spec(observed, tmp_path), replace(shared, **change))
    assert [line for line in differences(recorded, now) if line.startswith(named)]


def test_inputs_count_by_their_content(shared, observed, train_table, tmp_path, recorded):
    other = split(train_table, 0.5, seed=1)
    assert "inputs.labels" in str(
        differences(recorded, run_fingerprint(spec(other, tmp_path), shared))
    )
    weights = {k: v + 1 for k, v in shared.backbone_weights.items() if v.dtype.is_floating_point}
    torch.save({**shared.backbone_weights, **weights}, tmp_path / "other.pt")
    now = run_fingerprint(spec(observed, tmp_path), replace(shared, weights=tmp_path / "other.pt"))
    assert [line.split(":")[0] for line in differences(recorded, now)] == ["inputs.weights"]


def test_settings_count_by_their_options_and_not_by_their_name(shared, train_table, tmp_path):
    def fingerprint(name, **options):
        setting = SinglePositiveObservation(**options).observe(train_table, name)
        return run_fingerprint(spec(setting, tmp_path), shared)

    first = fingerprint("mine")
    assert name_of(first) == name_of(fingerprint("yours"))
    other = differences(first, fingerprint("mine", positives=2))
    assert "observe.positives: 1 there, now 2" in other


def test_images_count_by_their_content_wherever_they_lie(shared, train_table, tmp_path):
    def fingerprint(folder):
        read = prepare_images(replace(train_table, folder=str(folder)))
        return run_fingerprint(
            spec(split(read, 0.5), tmp_path / "run"), replace(shared, test=read.without_labels())
        )

    first = fingerprint(train_table.folder)
    shutil.copytree(train_table.folder, tmp_path / "elsewhere")
    assert name_of(fingerprint(tmp_path / "elsewhere")) == name_of(first)
    picture = tmp_path / "elsewhere" / train_table.file_names[7]
    data = bytearray(picture.read_bytes())
    data[-20] ^= 1
    picture.write_bytes(data)
    assert [line.split(":")[0] for line in differences(first, fingerprint(picture.parent))] == [
        "inputs.train_image_files", "inputs.test_image_files"
    ]  # fmt: skip


def test_another_release_of_torch_counts(recorded):
    versions = {**recorded["versions"], "torch": "1.0"}
    assert "versions.torch" in str(differences(recorded, {**recorded, "versions": versions}))


def test_a_key_that_the_record_lacks_counts_as_its_default(recorded):
    old = {**recorded, "training": dict(recorded["training"])}
    del old["training"]["accumulate"]  # as if it had been added since; its default is 1
    assert differences(old, recorded) == []
    asked = {**recorded, "training": {**recorded["training"], "accumulate": 2}}
    assert differences(old, asked) == ["training.accumulate: 1 there, now 2"]


def test_a_setting_says_what_it_affects():
    class Inner(Strict):
        rows: int = 1
        bar: bool = setting(True, affects="presentation")

    class Outer(Strict):
        inner: Inner = Inner()
        threads: int = setting(1, affects="speed")
        size: int = setting(3, affects="results")

    assert result_affecting(Outer()) == {"inner": {"rows": 1}, "size": 3}


def test_the_store_finds_a_training_by_what_it_is(tmp_path, recorded):
    store, key = Store(tmp_path), RunKey("d", "satl", 0.5, 0)
    entry = store.entry(key, recorded)
    assert store.entry(key, dict(recorded)).folder == entry.folder
    assert store.entry(key, {**recorded, "code": "other"}).folder != entry.folder
    assert store.entry(RunKey("d", "satl", 0.6, 0), recorded).folder != entry.folder
    assert not entry.is_finished()


def test_a_closed_training_keeps_neither_checkpoint_nor_what_it_supersedes(tmp_path, recorded):
    store, key = Store(tmp_path), RunKey("d", "satl", 0.5, 0)
    old, new = store.entry(key, recorded), store.entry(key, {**recorded, "code": "new"})
    new.checkpoint.mkdir()
    np.save(new.checkpoint / "x.npy", np.zeros(3))
    new.close()
    assert not old.folder.exists()
    assert [path.name for path in new.folder.iterdir()] == ["fingerprint.json"]
