"""Images per second of training batches: decoded at every use, from memory, from the disk cache."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from satl.data.images.batches import Augmentation, augmentation_draws, normalise, open_images
from satl.data.images.prepare import prepare_images
from satl.data.table import LabelTable

COUNT, BATCH, RESIZE, SIDE = 64, 8, 512, 448
ORDER = np.random.default_rng(0).permutation(COUNT).reshape(-1, BATCH).tolist()
DRAWS = augmentation_draws(COUNT, 0, 0)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """640×480 JPEGs of some 100 kB, like COCO's."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        rough = Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))
        pixels = np.asarray(rough.resize((640, 480)), np.int16) + rng.integers(-9, 9, (480, 640, 1))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{index}.jpg")
    names = tuple(f"{index}.jpg" for index in range(COUNT))
    labels = np.ones((COUNT, 1), np.int8)
    table = LabelTable(str(folder), names, np.arange(COUNT), ("a",), labels)
    table = prepare_images(table, pixels=folder / "pixels.npy", side=RESIZE)
    return replace(table, info={"pixels": str(folder / "pixels.npy")})


def epoch(images, augment):
    for indices, batch in zip(ORDER, images.batches(ORDER, workers=0), strict=True):
        if augment:
            batch = normalise(augment(batch, DRAWS[indices]))
    return batch


@pytest.mark.benchmark(group=f"{COUNT} images of {RESIZE} pixels")
@pytest.mark.parametrize("augmented", [False, True], ids=["read", "read and augment"])
@pytest.mark.parametrize("mode", ["none", "memory", "disk"])
def test_batches(benchmark, table, mode, augmented):
    torch.set_num_threads(1)
    augment = Augmentation([1.0, 0.875, 0.75, 0.625, 0.5], SIDE, True) if augmented else None
    images = open_images(table, RESIZE, mode, Path(table.info["pixels"]), "train")
    expected = epoch(open_images(table, RESIZE, "none", None, "train"), augment)
    found = benchmark.pedantic(epoch, (images, augment), rounds=5, warmup_rounds=1)
    assert torch.equal(found, expected)
    benchmark.extra_info["images_per_second"] = round(COUNT / benchmark.stats.stats.mean)
