"""On a GPU at the paper's scale: the config's ResNet-101, 448 pixels, bf16, decoded images.

Skipped where there is none. `TFLOP/s` counts the mathematics of a step (batch norm folded,
frozen stages forward only): divide it by the card's peak for the share of it that is reached.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from epochs import epoch_of, images_trained, trainer_of
from torch.utils.flop_counter import FlopCounterMode

from satl.config import load
from satl.core.places import METHODS
from satl.data.glyphs.dataset import draw_dataset
from satl.data.splits import split
from satl.estimate.synthetic import synthetic_table
from satl.training.context import TrainingContext
from satl.training.features import frozen_features

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
PAPER = load(Path(__file__).parents[2] / "workflow/config/paper.yaml")
IMAGES = 1024
CATEGORIES = 80
EPOCH = 10  # of twenty: pseudo-labels have begun


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """What runs share, and partially labelled images that are held decoded in memory."""
    folder = tmp_path_factory.mktemp("gpu")
    draw_dataset(folder, IMAGES, 1)
    files = tuple(sorted(path.name for path in (folder / "train").iterdir()))
    table = synthetic_table(IMAGES, CATEGORIES)
    table = replace(table, folder=str(folder / "train"), file_names=files)
    training = PAPER.training.model_copy(update={"image_cache": "memory"})
    model = PAPER.model.model_copy(update={"word_vectors": None})
    test = table.without_labels()
    device = torch.device("cuda")
    return TrainingContext(model, training, test, folder, folder / "checkpoints", device), split(
        table, 0.5
    )


def step_flops(trainer):
    """Of one training step of all runs."""
    training, device = trainer.training, trainer.device
    shape = (training.batch_size, 3, training.image_size, training.image_size)
    images = torch.zeros(shape, dtype=torch.uint8, device=device)
    rows = torch.arange(training.batch_size, device=device)
    with FlopCounterMode(display=False) as counter:
        features = frozen_features(trainer.features.frozen, images, training.precision)
        for run in trainer.runs:
            run.epoch, run.step = EPOCH, 0
            run.train_step(features, rows, *([features] if run.strong_view else []))
    return counter.get_total_flops()


def bench(benchmark, job, methods):
    trainer = trainer_of(*job, methods)
    flops = step_flops(trainer)
    epoch = epoch_of(trainer, EPOCH)

    def whole_epoch():
        epoch()
        torch.cuda.synchronize()

    benchmark.pedantic(whole_epoch, rounds=3, warmup_rounds=1)
    if benchmark.enabled:
        seconds, images = benchmark.stats.stats.min, images_trained(trainer)
        steps = images / len(methods) / trainer.training.batch_size
        benchmark.extra_info["images_per_second"] = round(images / seconds)
        benchmark.extra_info["TFLOP/s"] = round(flops * steps / seconds / 1e12, 1)


@pytest.mark.parametrize("method", METHODS)
def test_each_method(benchmark, job, method):
    benchmark.group = f"GPU, an epoch of {IMAGES} images, one run"
    bench(benchmark, job, [method])


@pytest.mark.parametrize("runs", [1, 4, 9])
def test_runs_side_by_side(benchmark, job, runs):
    benchmark.group = f"GPU, an epoch of {IMAGES} images per run, satl"
    bench(benchmark, job, ["satl"] * runs)
