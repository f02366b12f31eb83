"""The strong view: made only where a method asks for it, the same however it is made."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from trials import MODEL, TRAINING, apart, same_numbers, spec
from workflow_trials import TINY, copy_tree, output, snakemake

from satl.config import parse
from satl.core.errors import UserError
from satl.data.images.batches import Augmentation
from satl.data.images.strong import StrongAugmentation, strong_draws
from satl.methods.registry import checked_methods
from satl.runs.folder import RunFolder
from satl.training import features as features_module
from satl.training.cache_features import cache_features
from satl.training.engine import train
from satl.training.run import TrainingRun

CPU = torch.device("cpu")
ORDINARY = Augmentation([1.0, 0.5], side=32, flip=True)
WHOLE = MODEL.model_copy(update={"frozen": "all"})


@pytest.fixture
def images():
    return torch.randint(0, 256, (6, 3, 40, 40), dtype=torch.uint8)


def test_a_view_depends_on_image_seed_and_epoch_alone(images):
    augment = StrongAugmentation(ORDINARY)
    draws = strong_draws(6, seed=3, epoch=2)
    whole = augment(images, draws)
    state = torch.get_rng_state()
    torch.rand(5)
    some = augment(images[[4, 1]], draws[[4, 1]])
    torch.set_rng_state(state)
    augment(images, draws)
    assert torch.equal(torch.get_rng_state(), state), "other draws are not disturbed"
    assert torch.equal(some, whole[[4, 1]])
    assert whole.shape == (6, 3, 32, 32) and whole.dtype == torch.float32
    assert not np.array_equal(draws, strong_draws(6, seed=3, epoch=3))
    assert not np.array_equal(draws, strong_draws(6, seed=4, epoch=2))


def test_a_quarter_of_the_image_is_grey():
    grey = (StrongAugmentation(ORDINARY)(torch.full((8, 3, 40, 40), 255, dtype=torch.uint8),
            strong_draws(8, 0, 0)) == 127).all(1)  # fmt: skip
    assert grey.sum((1, 2)).tolist() == [16 * 16] * 8


def test_views_of_one_image_differ(images):
    augment = StrongAugmentation(ORDINARY)
    same = images[:1].expand(6, -1, -1, -1)
    views = augment(same, strong_draws(6, 0, 0))
    assert len({view.numpy().tobytes() for view in views}) == 6


def test_nothing_is_made_where_no_method_asks(tmp_path, shared, observed, monkeypatch):
    monkeypatch.setattr(features_module, "StrongAugmentation", lambda *_: pytest.fail("made"))
    train(shared, [spec(observed, tmp_path / "run", "partial_bce")])


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_runs_beside_one_that_asks_come_out_the_same(tmp_path, shared, observed, cache):
    """And the strong view is the same with and without decoded images kept."""
    runs = [spec(observed, tmp_path / name, name) for name in ("sr_st", "partial_bce")]
    for run in runs:
        train(shared, [replace(run, folder=run.folder.with_suffix(".alone"))])
    training = TRAINING.model_copy(update={"image_cache": cache})
    train(apart(replace(shared, training=training)), runs)
    for run in runs:
        same_numbers(run.folder, run.folder.with_suffix(".alone"))


def cached(shared, weights, observed, folder, strong):
    training = TRAINING.model_copy(update={"cached_views": 2, "cached_strong_views": strong})
    tables = {"train": observed, "test": shared.test, **({"strong": observed} if strong else {})}
    files = {part: folder / f"{part}-features.npy" for part in tables}
    for part, table in tables.items():
        cache_features(table, part, WHOLE, training, weights, CPU, files[part])
    return replace(shared, model=WHOLE, training=training, features=files)


def test_cached_strong_views(tmp_path, shared, weights, observed, monkeypatch):
    job = cached(shared, weights, observed, tmp_path, strong=3)
    maps = job.strong_feature_file(observed).maps
    assert maps.shape == (3, 24, 96, 2, 2)
    shown, real = [], TrainingRun.train_step

    def step(run, features, rows, strong):
        shown.append((rows, strong))
        real(run, features, rows, strong)

    monkeypatch.setattr(TrainingRun, "train_step", step)
    train(job, [spec(observed, tmp_path / "sr_st", "sr_st")])
    found = set()
    for rows, strong in shown:
        for row, view in zip(rows.tolist(), strong.numpy(), strict=True):
            same = [i for i in range(3) if np.array_equal(view, maps[i, row].astype(np.float32))]
            assert same
            found.update(same)
    assert found == {0, 1, 2}
    inputs = RunFolder(tmp_path / "sr_st").run()["fingerprint"]["inputs"]
    assert len(inputs["strong_features"]) == 64


def test_cached_strong_views_leave_other_runs_as_they_are(
    tmp_path, shared, weights, observed, monkeypatch
):
    without = cached(shared, weights, observed, tmp_path, strong=None)
    train(without, [spec(observed, tmp_path / "run", "partial_bce")])
    monkeypatch.setattr(TrainingRun, "train_step", lambda *_: pytest.fail("trained again"))
    beside = cached(shared, weights, observed, tmp_path, strong=2)
    train(beside, [spec(observed, tmp_path / "again", "partial_bce")])
    same_numbers(tmp_path / "run", tmp_path / "again")


def test_what_is_missing_is_named(tmp_path, shared, weights, observed):
    job = cached(shared, weights, observed, tmp_path, strong=None)
    with pytest.raises(UserError, match=r"set training\.cached_strong_views too"):
        train(job, [spec(observed, tmp_path / "run", "sr_st")])
    with pytest.raises(UserError, match=r"training\.cached_strong_views is not set"):
        cache_features(observed, "strong", WHOLE, job.training, weights, CPU, tmp_path / "x.npy")


CONFIG = """
name: x
datasets: {d: {format: glyphs}}
methods: {satl: , sr_st: , satl-strong: {method: satl, strong_view: true}}
known_ratios: [0.5]
training: {cached_views: 2}
"""


def test_a_config_without_strong_views_is_refused_before_anything_runs():
    config = yaml.safe_load(CONFIG)
    message = r"(?s)methods\.sr_st compares.*set cached_views to null.*methods\.satl-strong"
    with pytest.raises(UserError, match=message):
        checked_methods(parse(config, "x.yaml"))
    config["training"]["cached_strong_views"] = 2
    assert len(checked_methods(parse(config, "x.yaml"))) == 3
    del config["training"]["cached_views"]
    with pytest.raises(UserError, match="cached_strong_views is set without cached_views"):
        parse(config, "x.yaml")


@pytest.mark.slow
def test_the_workflow_caches_strong_views_where_the_config_says_so(tmp_path):
    copy_tree(tmp_path)
    training = {**TINY["training"], "cached_views": 2}
    config = {**TINY, "methods": {"sr_st": {}}, "training": training}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    refused = snakemake(tmp_path, "-n")
    assert refused.returncode != 0
    assert "set that too" in output(refused)
    training["cached_strong_views"] = 2
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(tmp_path, "-n", "--printshellcmds")
    assert done.returncode == 0, output(done)
    commands = output(done).splitlines()
    made = [line for line in commands if "--part strong" in line]
    trained = [line for line in commands if " train --config" in line]
    assert len(made) == 1
    assert "train-images.npz" in made[0]
    assert trained and all("--strong-features results/tiny/data" in line for line in trained)
