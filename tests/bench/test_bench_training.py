"""Images per second through the real engine, data path included: one lane, and four at once."""

from pathlib import Path

import pytest
import torch

from satl import engine
from satl.config import load
from satl.data.coco import read_coco
from satl.data.glyphs import draw_dataset
from satl.data.splits import split
from satl.jobs import RunSpec, Shared
from satl.models.backbone import initial_weights

DEMO = load(Path(__file__).parents[2] / "workflow/config/demo.yaml")
IMAGES = 256
FOUR = ("satl", "fixed_threshold", "partial_bce", "assume_negative")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A shared job of one epoch on drawn scenes, and a function that makes its runs."""
    folder = tmp_path_factory.mktemp("bench")
    draw_dataset(folder / "glyphs", IMAGES, 32)
    tables = {
        part: read_coco(folder / f"glyphs/instances_{part}.json", folder / f"glyphs/{part}")
        for part in ("train", "test")
    }
    torch.save(initial_weights("tiny", "random"), folder / "weights.pt")
    shared = Shared(
        model=DEMO.model,
        training=DEMO.training.model_copy(update={"epochs": 1}),
        test=tables["test"].without_labels(),
        weights=folder / "weights.pt",
        checkpoints=folder / "checkpoints",
        device=torch.device("cpu"),
    )
    observed = split(tables["train"], 0.5)

    def runs(methods):
        return [RunSpec("b", "g", m, m, {}, observed, folder / m) for m in methods]

    return shared, runs


def train_epoch(trainer):
    for lane in trainer.lanes:
        lane.epochs_done = 0
    trainer._train_epoch(0, trainer.lanes)


@pytest.mark.benchmark(group=f"one epoch of {IMAGES} images")
@pytest.mark.parametrize("methods", [FOUR[:1], FOUR], ids=["one lane", "four lanes"])
def test_training(benchmark, job, methods):
    shared, runs = job
    trainer = engine._Trainer(shared, runs(methods), seed=0)
    torch.set_num_threads(1)
    benchmark.pedantic(train_epoch, (trainer,), rounds=3, warmup_rounds=1)
    images = IMAGES // DEMO.training.batch_size * DEMO.training.batch_size * len(methods)
    benchmark.extra_info["images_per_second"] = round(images / benchmark.stats.stats.mean)
