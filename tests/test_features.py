"""Cached feature maps: computed once, shown by views, and part of what a run is."""

import errno
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from trials import MODEL, TRAINING, apart, same_numbers, spec

from satl.core.errors import UserError
from satl.models.backbone import initial_weights
from satl.runs.folder import RunFolder
from satl.training.cache_features import cache_features
from satl.training.engine import train
from satl.training.feature_file import FeatureFile, description_of, write
from satl.training.features import CachedFeatures, frozen_features
from satl.training.few_at_once import CPU_PIXELS
from satl.training.schedule import learning_rate, one_cycle

CPU = torch.device("cpu")
VIEWS = 3
CACHING = TRAINING.model_copy(update={"cached_views": VIEWS})
WHOLE = MODEL.model_copy(update={"frozen": "all"})


@pytest.fixture
def cached(shared, weights, observed, tmp_path):
    """What runs share where features are cached."""
    files = {}
    for part, table in (("train", observed), ("test", shared.test)):
        files[part] = tmp_path / f"{part}-features.npy"
        cache_features(table, part, WHOLE, CACHING, weights, CPU, files[part])
    return replace(shared, model=WHOLE, training=CACHING, features=files)


def test_the_files_hold_views_of_training_images_and_test_images_once(cached, observed):
    train_file, test_file = cached.feature_files(observed).values()
    assert train_file.maps.shape == (VIEWS, 24, 96, 2, 2)
    assert test_file.maps.shape == (1, 12, 96, 2, 2)
    assert not np.array_equal(train_file.maps[0], train_file.maps[1])


def test_an_epoch_shows_one_view_per_image_and_another_epoch_others(cached, observed):
    files = cached.feature_files(observed)
    features = CachedFeatures(files, CACHING, 0, CPU)
    order = [[5, 2], [7]]
    views = []
    for epoch in range(8):
        first, second = (views.weak for views in features.training(epoch, order))
        assert first.dtype == torch.float32 and first.shape == (2, 96, 2, 2)
        found = [
            view
            for view in range(VIEWS)
            if np.array_equal(second[0].numpy(), files["train"].maps[view, 7].astype(np.float32))
        ]
        assert len(found) == 1
        views += found
    assert set(views) == set(range(VIEWS))
    test = torch.cat(list(features.predicted()))
    assert np.array_equal(test.numpy(), files["test"].maps[0].astype(np.float32))


def test_cached_and_computed_scores_agree(cached, observed, tmp_path):
    """The test images, which are not augmented, differ by the rounding to float16 alone."""
    once = CACHING.model_copy(update={"epochs": 1, "learning_rate": 1e-12})
    train(replace(cached, training=once), [spec(observed, tmp_path / "a", "partial_bce")])
    plain = once.model_copy(update={"cached_views": None})
    train(apart(replace(cached, training=plain)), [spec(observed, tmp_path / "b", "partial_bce")])
    a, b = (RunFolder(tmp_path / name).predictions()["logits"] for name in "ab")
    # Batch norm's running statistics still tell which views training saw.
    assert np.abs(a - b).max() < 0.5 and np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_the_same_features_give_the_same_bits(cached, observed, tmp_path):
    train(cached, [spec(observed, tmp_path / "a")])
    train(apart(cached), [spec(observed, tmp_path / "b")])
    same_numbers(tmp_path / "a", tmp_path / "b")
    fingerprint = RunFolder(tmp_path / "a").run()["fingerprint"]
    assert len(fingerprint["inputs"]["train_features"]) == 64


@pytest.mark.parametrize(("side", "parts"), [(256, [8, 8, 4]), (1024, [1] * 3)])
def test_a_cpu_takes_few_images_at_once_and_computes_the_same(side, parts):
    seen = []

    def halve(images):
        seen.append(len(images))
        assert len(images) == 1 or images[:, 0].numel() <= CPU_PIXELS
        return torch.nn.functional.avg_pool2d(images, side // 2)

    images = torch.randint(0, 256, (sum(parts), 3, side, side), dtype=torch.uint8)
    maps = frozen_features(halve, images, "fp32", mean=(0.5,) * 3, std=(0.5,) * 3)
    assert seen == parts
    corner = images[:, :, : side // 2, : side // 2].double().mean((2, 3)) / 127.5 - 1
    assert maps.shape == (len(images), 3, 2, 2)
    assert torch.allclose(maps[:, :, 0, 0].double(), corner, atol=1e-5)


def test_of_a_transformer_that_is_cut_tokens_are_kept(shared, observed, tmp_path):
    """Of four patches of 16 × 16 pixels, and of the class."""
    model = MODEL.model_copy(update={"backbone": "test_vit", "frozen": "blocks_3"})
    torch.save(initial_weights("test_vit", "random"), tmp_path / "vit.pt")
    sizes = {"image_size": 32, "resize": 36, "epochs": 1, "learning_rate": 1e-12}
    plain, files = TRAINING.model_copy(update=sizes), {}
    caching = plain.model_copy(update={"cached_views": 1})
    for part, table in (("train", observed), ("test", shared.test)):
        files[part] = tmp_path / f"{part}-features.npy"
        cache_features(table, part, model, caching, tmp_path / "vit.pt", CPU, files[part])
    given = replace(shared, model=model, weights=tmp_path / "vit.pt", training=caching)
    given = replace(given, features=files)
    assert given.feature_files(observed)["test"].maps.shape == (1, 12, 5, 64)
    train(given, [spec(observed, tmp_path / "a", "partial_bce")])
    train(apart(replace(given, training=plain)), [spec(observed, tmp_path / "b", "partial_bce")])
    a, b = (RunFolder(tmp_path / name).predictions()["logits"] for name in "ab")
    assert np.abs(a - b).max() < 0.5 and np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_missing_and_foreign_features_are_named(cached, shared, observed, tmp_path):
    with pytest.raises(UserError, match="give --train-features, from `satl features`"):
        train(replace(cached, features={}), [spec(observed, tmp_path / "a")])
    with pytest.raises(UserError, match=r"test-features\.npy: holds features of other images"):
        FeatureFile.open(cached.features["test"], observed.without_labels().digest())
    description_of(cached.features["test"]).unlink()
    with pytest.raises(UserError, match=r"test-features\.json: no such description"):
        train(cached, [spec(observed, tmp_path / "b")])


def test_values_that_float16_cannot_hold_are_refused(tmp_path):
    for bad in (np.inf, np.nan, 1e6):
        batch = np.full((2, 1, 1, 1), bad, np.float32)
        with pytest.raises(UserError, match="not finite, or exceed 65504"):
            write(tmp_path / "x.npy", (1, 2), [batch], {})
        assert not list(tmp_path.iterdir())


def test_the_file_is_a_plain_array(tmp_path):
    maps = np.arange(24, dtype=np.float32).reshape(6, 1, 2, 2)
    write(tmp_path / "x.npy", (2, 3), [maps[:4], maps[4:]], {"images": "abc"})
    assert np.array_equal(np.load(tmp_path / "x.npy"), maps.reshape(2, 3, 1, 2, 2))
    assert json.loads((tmp_path / "x.json").read_text())["images"] == "abc"


def test_a_full_disk_is_said_and_leaves_nothing_that_could_be_read(tmp_path):
    """The file grows as maps are written: in a sparse one, a full disk would kill the process."""
    path, maps = tmp_path / "x.npy", np.ones((100, 1, 8, 8), np.float32)
    write(path, (1, 200), [maps, maps], {"images": "abc"})
    sizes = []

    def batches():
        for _ in range(2):
            sizes.append(sum(file.stat().st_size for file in tmp_path.glob(".*.part")))
            yield maps
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"x\.npy: cannot be written \(No space left .*Free some"):
        write(path, (1, 400), batches(), {"images": "abc"})
    assert sizes[1] < 150 * 128, "less than half of the whole"
    assert [file.name for file in tmp_path.iterdir()] == ["x.npy"]
    with pytest.raises(UserError, match=r"x\.json: no such description"):
        FeatureFile.open(path, "abc")


def test_what_is_wrong_stands_on_a_line_of_its_own(shared, weights, observed, tmp_path, capsys):
    """Not behind the progress bar, where the workflow would not find it in the log."""
    decoding = CACHING.model_copy(update={"image_cache": "none"})
    gone = replace(observed, file_names=(*observed.file_names[:-1], "gone.jpg"))
    with pytest.raises(UserError, match=r"gone\.jpg: no such image") as error:
        cache_features(gone, "train", WHOLE, decoding, weights, CPU, tmp_path / "x.npy")
    bar = capsys.readouterr().err
    assert "features train" in bar and bar.endswith("\n"), error.traceback


def test_one_cycle_rises_for_a_quarter_and_falls_to_nothing():
    training = TRAINING.model_copy(update={"schedule": "one_cycle", "learning_rate": 2.0})
    rates = [learning_rate(training, epoch, step, 4) for epoch in range(3) for step in range(4)]
    assert rates[0] == 0 and max(rates) == rates[3] == 2.0
    assert rates[:4] == sorted(rates[:4]) and rates[3:] == sorted(rates[3:], reverse=True)
    assert one_cycle(1) == pytest.approx(0)
    step = TRAINING.model_copy(update={"learning_rate": 2.0})
    assert [learning_rate(step, epoch, 0, 4) for epoch in range(3)] == pytest.approx([2, 2, 0.2])
