"""Images per second through the real engine, data path included, settings of images.yaml.

Each method against the plain loop (tests/bench/plain_loop.py); and several runs in one job
against as many separate runs.
"""

from pathlib import Path

import pytest
import torch
from epochs import epoch_of, images_trained, trainer_of
from plain_loop import PlainRun

from satl.config import load
from satl.core.places import METHODS
from satl.data.formats.coco import read_coco
from satl.data.glyphs.dataset import draw_dataset
from satl.data.splits import split
from satl.training.context import TrainingContext
from satl.training.engine import prepare_torch

SMALL = load(Path(__file__).parent / "images.yaml")
IMAGES = 256
EPOCH = 3  # of six: pseudo-labels have begun
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """What runs share, and their partially labelled images."""
    folder = tmp_path_factory.mktemp("bench")
    draw_dataset(folder / "glyphs", IMAGES, 32)
    tables = {
        part: read_coco(folder / f"glyphs/instances_{part}.json", folder / f"glyphs/{part}")
        for part in ("train", "test")
    }
    test = tables["test"].without_labels()
    shared = TrainingContext(
        SMALL.model, SMALL.training, test, folder / "none", folder / "checkpoints", CPU
    )
    return shared, split(tables["train"], 0.5)


def bench_engine(benchmark, job, methods):
    trainer = trainer_of(*job, methods)
    benchmark.pedantic(epoch_of(trainer, EPOCH), rounds=5, warmup_rounds=1)
    report(benchmark, images_trained(trainer))


def report(benchmark, images):
    if benchmark.enabled:
        benchmark.extra_info["images_per_second"] = round(images / benchmark.stats.stats.min)


@pytest.mark.parametrize("method", METHODS)
def test_engine(benchmark, job, method):
    benchmark.group = f"an epoch of {IMAGES} images, {method}"
    bench_engine(benchmark, job, [method])


@pytest.mark.parametrize("method", METHODS)
def test_plain_loop(benchmark, job, method):
    benchmark.group = f"an epoch of {IMAGES} images, {method}"
    shared, observed = job
    prepare_torch(shared.training, CPU)
    run = PlainRun(method, observed, shared.model, shared.training)
    benchmark.pedantic(run.epoch, (EPOCH,), rounds=3, warmup_rounds=1)
    report(benchmark, IMAGES // SMALL.training.batch_size * SMALL.training.batch_size)


@pytest.mark.parametrize("runs", [1, 4, 9])
def test_runs_side_by_side(benchmark, job, runs):
    benchmark.group = f"an epoch of {IMAGES} images per run, satl"
    bench_engine(benchmark, job, ["satl"] * runs)
