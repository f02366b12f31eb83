import os
import shutil
import subprocess
import sys
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from satl.core.errors import UserError
from satl.data.images.batches import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    Images,
    _cut_by_index,
    _cut_by_slices,
    augmentation_draws,
    consecutive_order,
    normalise,
    open_images,
    read_image,
    training_order,
)
from satl.data.images.prepare import prepare_images


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_reading_is_pillow_bicubic(picture):
    expected = Image.open(picture).resize((16, 16), Image.Resampling.BICUBIC)
    found = read_image(picture, 16).permute(1, 2, 0).numpy()
    assert np.array_equal(found, np.asarray(expected))


def test_grey_and_transparent_pictures_become_rgb(tmp_path):
    for mode in ("L", "RGBA", "P", "CMYK"):
        path = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (9, 9)).save(path)
        assert read_image(path, 8).shape == (3, 8, 8)


def test_a_missing_and_a_truncated_file_are_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.jpg: no such image file"):
        read_image(tmp_path / "gone.jpg", 8)
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"cut\.jpg: cannot be decoded \(.*truncated"):
        read_image(path, 8)
    path.write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"cut\.jpg: cannot be decoded"):
        read_image(path, 8)


@pytest.mark.parametrize(
    ("mode", "workers"), [("none", 0), ("none", 2), ("memory", 0), ("disk", 0)]
)
def test_batches_hold_the_images_asked_for_bit_by_bit(train_table, tmp_path, mode, workers):
    prepare_images(train_table, pixels=tmp_path / "p.npy", side=16)
    images = open_images(train_table, 16, mode, tmp_path / "p.npy", "train")
    assert len(images) == 24
    order = [[3, 0], [7], [23, 3, 22]]
    batches = list(images.batches(order, workers))
    for indices, batch in zip(order, batches, strict=True):
        expected = [read_image(train_table.paths()[index], 16) for index in indices]
        assert batch.dtype == torch.uint8
        assert torch.equal(batch, torch.stack(expected))


def test_a_disk_cache_needs_its_file(train_table):
    with pytest.raises(UserError, match=r"satl images --side 16 --pixels-out FILE.* --test-pixels"):
        open_images(train_table, 16, "disk", None, "test")


def test_what_does_not_fit_into_memory_is_said(train_table, monkeypatch):
    def refuse(*_):
        raise MemoryError

    monkeypatch.setattr(np, "empty", refuse)
    with pytest.raises(UserError, match=r"24 decoded train images .* do not fit into memory"):
        open_images(train_table, 16, "memory", None, "train")


def test_an_error_in_a_worker_still_names_the_file_and_ends_the_workers(train_table, tmp_path):
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(train_table.paths()[0].read_bytes()[:300])
    images = Images([*train_table.paths()[:3], tmp_path / "gone.jpg", cut], 16)
    with pytest.raises(UserError, match=rf"^{tmp_path}/gone\.jpg: no such image file"):
        list(images.batches([[0, 1], [2, 3]], workers=1))
    with pytest.raises(UserError, match=rf"^{tmp_path}/cut\.jpg: cannot be decoded"):
        list(images.batches([[0, 4]], workers=1))
    assert not active_children()  # not only once the error has been forgotten


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_changes_or_goes_is_named_when_it_is_read(train_table, tmp_path, workers):
    """Between decoding and training, and in mid-training: with a digest, content is what counts."""
    shutil.copytree(train_table.folder, tmp_path / "images")
    table = prepare_images(replace(train_table, folder=str(tmp_path / "images")))
    images = open_images(table, 16, "none", None, "train")
    assert len(list(images.batches([[0, 5], [6]], workers))) == 2
    changed, gone = table.paths()[5:7]
    shutil.copy(table.paths()[4], changed)
    gone.unlink()
    said = r"0005\.jpg: has changed since `satl images` read it\..*--forcerun images"
    with pytest.raises(UserError, match=said):
        list(images.batches([[0, 5]], workers))
    with pytest.raises(UserError, match=r"0006\.jpg: no such image file"):
        list(images.batches([[6]], workers))
    with pytest.raises(UserError, match=said):
        open_images(table, 16, "memory", None, "train")


def test_training_order_depends_on_seed_and_epoch_alone():
    first = training_order(10, 4, drop_last=False, seed=0, epoch=1)
    assert first == training_order(10, 4, drop_last=False, seed=0, epoch=1)
    assert first != training_order(10, 4, drop_last=False, seed=0, epoch=2)
    assert first != training_order(10, 4, drop_last=False, seed=1, epoch=1)
    assert sorted(index for batch in first for index in batch) == list(range(10))


@pytest.mark.parametrize(
    ("images", "drop_last", "sizes"),
    [(10, True, [4, 4]), (10, False, [4, 4, 2]), (9, False, [4, 4, 1]), (3, True, [3])],
)
def test_incomplete_batches(images, drop_last, sizes):
    order = training_order(images, 4, drop_last, seed=0, epoch=0)
    assert [len(batch) for batch in order] == sizes


def test_consecutive_order_covers_every_image_once():
    assert consecutive_order(5, 2) == [[0, 1], [2, 3], [4]]


def test_normalise():
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    expected = (images.permute(0, 2, 3, 1) / 255 - mean) / std
    assert torch.allclose(normalise(images).permute(0, 2, 3, 1), expected, atol=1e-5)


def test_augmentation_depends_on_the_image_not_on_its_batch():
    augment, draws = Augmentation([1.0, 0.5], 12, flip=True), augmentation_draws(6, 3, 2)
    images = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    together = augment(images, draws)
    for index in range(6):
        alone = augment(images[index : index + 1], draws[index : index + 1])
        assert torch.equal(alone[0], together[index])
    assert not torch.equal(together, augment(images, augmentation_draws(6, 3, 4)))


def test_draws_depend_on_seed_and_epoch_and_not_on_how_many_there_are():
    draws = augmentation_draws(9, seed=1, epoch=2)
    assert np.array_equal(draws[:4], augmentation_draws(4, seed=1, epoch=2))
    assert not np.array_equal(draws, augmentation_draws(9, seed=1, epoch=3))
    assert not np.array_equal(draws, augmentation_draws(9, seed=2, epoch=2))


def test_augmented_crops_are_crops_of_the_image():
    augment = Augmentation([0.5], 8, flip=False)
    image = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(50, 3, 16, 16)
    crops = augment(image, augmentation_draws(50, 0, 0))[:, 0]
    corners = set()
    for crop in crops:
        top, left = divmod(int(crop[0, 0]), 16)
        assert torch.equal(crop, image[0, 0, top : top + 8, left : left + 8].float())
        corners.add((top, left))
    assert len(corners) > 20


def test_flip_turns_about_half_of_the_images():
    augment = Augmentation([1.0], 4, flip=True)
    image = torch.arange(4, dtype=torch.uint8).view(1, 1, 1, 4).expand(400, 3, 4, 4)
    turned = augment(image, augmentation_draws(400, 0, 0))[:, 0, 0, 0] == 3
    assert 0.4 < turned.float().mean() < 0.6


def smooth_pictures(count, side):
    """(count, side, side, 3) uint8 without hard edges, and too grey for a resize to overshoot."""
    rng = np.random.default_rng(1)
    noise = [rng.integers(60, 190, (9, 9, 3), dtype=np.uint8) for _ in range(count)]
    size = (side, side)
    return np.stack([np.asarray(Image.fromarray(n).resize(size, Image.BICUBIC)) for n in noise])


def test_augmentation_agrees_with_pillow_within_one_grey_level():
    """Crop, bicubic resize (larger and smaller) and flip, against Pillow's integer arithmetic."""
    pictures, draws = smooth_pictures(30, 32), augmentation_draws(30, 0, 0)
    augment = Augmentation([1.0, 0.75, 0.5], 20, flip=True)
    found = augment(torch.from_numpy(pictures).permute(0, 3, 1, 2), draws)
    for picture, draw, image in zip(pictures, draws, found, strict=True):
        crop = (32, 24, 16)[int(draw[0] * 3)]
        top, left = (int(d * (32 - crop + 1)) for d in draw[1:3])
        cut = Image.fromarray(picture).crop((left, top, left + crop, top + crop))
        expected = cut.resize((20, 20), Image.Resampling.BICUBIC)
        if draw[3] < 0.5:
            expected = expected.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        difference = np.abs(image.permute(1, 2, 0).numpy() - np.asarray(expected, np.float32))
        # Pillow also rounds between its two passes.
        assert difference.max() <= 1
        assert difference.mean() < 0.3


def test_both_ways_to_cut_are_the_same():
    images = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8)
    rows, corners = np.array([4, 0, 2]), np.array([[0, 5], [5, 0], [3, 2]])
    expected = torch.stack([images[4, :, :7, 5:], images[0, :, 5:, :7], images[2, :, 3:10, 2:9]])
    assert torch.equal(_cut_by_slices(images, rows, corners, 7), expected)
    assert torch.equal(_cut_by_index(images, rows, corners, 7), expected)


def test_normalising_leaves_its_argument():
    images = torch.full((1, 3, 2, 2), 7.0)
    normalise(images)
    assert (images == 7).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_nothing_waits_for_the_gpu_and_the_result_is_that_of_the_cpu():
    images = torch.from_numpy(smooth_pictures(30, 32)).permute(0, 3, 1, 2).contiguous()
    draws, augment = augmentation_draws(30, 0, 0), Augmentation([1.0, 0.5], 20, flip=True)
    on_gpu = images.cuda()
    normalise(augment(on_gpu, draws))  # the first call copies the statistics
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = augment(on_gpu, draws)
        normalised = normalise(found)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = augment(images, draws)
    assert (found.cpu() - expected).abs().max() <= 1
    assert (normalised.cpu() - normalise(expected)).abs().max() < 0.02


STOPPED = """
import multiprocessing, os, signal, sys
from pathlib import Path
from satl.data.images.batches import Images

batches = Images([Path(sys.argv[1])] * 9, 8).batches([[i] for i in range(9)], workers=2)
next(batches)
keep = [batches]
keep.append(keep)  # a reference cycle, as tracebacks make
for child in multiprocessing.active_children():
    os.kill(child.pid, signal.SIGTERM)
    os.kill(child.pid, signal.SIGINT)
if sys.argv[2] == "read on":
    print(1 + sum(1 for _ in batches))
"""


@pytest.mark.parametrize(("then", "printed"), [("read on", "9\n"), ("exit", "")])
def test_workers_outlive_signals_and_end_with_the_process(picture, then, printed):
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", STOPPED, str(picture), then]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": root}, timeout=60, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")
