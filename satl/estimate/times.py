"""What an experiment will cost: training times measured on this machine, scaled to all runs.

Frozen stages, data path and each method's own part are timed apart; a job of several lanes is
then what they share, once, and the methods' parts of all its runs.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from satl.config import Experiment
from satl.data.formats.base import DatasetSize
from satl.data.images.batches import Augmentation, augmentation_draws
from satl.data.splits import split
from satl.data.table import LabelTable
from satl.methods.base import Hyperparameters, Method
from satl.models.backbone import Backbone, build_backbone, initial_weights
from satl.runs.layout import training_jobs
from satl.training.context import RunSpec, Shared
from satl.training.engine import build_lane, prepare_torch
from satl.training.lane import Lane
from satl.training.trainer import frozen_maps, frozen_stages

Methods = Mapping[str, tuple[type[Method], Hyperparameters]]

POSITIVE_SHARE = 0.04  # about three of COCO's eighty categories an image
BATCHES = 4  # of the made-up table


@dataclass(frozen=True)
class Cost:
    """Seconds of one training batch and of one test image."""

    train: float
    test: float


@dataclass(frozen=True)
class DatasetCosts:
    """Of what the lanes of a job share, and of each method's own part."""

    shared: Cost
    methods: dict[str, Cost]


def measure(
    experiment: Experiment,
    methods: Methods,
    sizes: dict[str, DatasetSize],
    device: torch.device,
    seconds: float,
) -> dict[str, DatasetCosts]:
    """Time random images through the real models and methods, in mid-schedule.

    Args:
        experiment: whose model and protocol are timed.
        methods: class and options of each of its methods, by the names it gives them.
        sizes: of its data sets; the number of categories matters.
        device: to be timed.
        seconds: to spend on all measurements, roughly.
    """
    prepare_torch(experiment.training, device)
    weights = initial_weights(experiment.model.backbone, "random")
    backbone = build_backbone(experiment.model.backbone, weights, experiment.model.frozen)
    categories = sorted({size.categories for size in sizes.values()})
    budget = seconds / (len(categories) * (len(experiment.methods) + 1))
    by_categories = {
        c: _costs(experiment, methods, c, backbone, device, budget) for c in categories
    }
    return {name: by_categories[size.categories] for name, size in sizes.items()}


def _costs(
    experiment: Experiment,
    methods: Methods,
    categories: int,
    backbone: Backbone,
    device: torch.device,
    budget: float,
) -> DatasetCosts:
    training = experiment.training
    frozen = frozen_stages(backbone, training, device)
    augment = Augmentation(training.crop_scales, training.image_size, training.flip)
    draws = augmentation_draws(training.batch_size, 0, 0)
    read = torch.randint(0, 256, (training.batch_size, 3, training.resize, training.resize))
    read = read.to(torch.uint8).pin_memory() if device.type == "cuda" else read.to(torch.uint8)
    test = torch.randint(0, 256, (training.batch_size, 3, training.image_size, training.image_size))
    test = test.to(torch.uint8).to(device)

    def maps_of(images: torch.Tensor) -> torch.Tensor:
        return frozen_maps(frozen, images, training.precision)

    maps = maps_of(test)
    shared = Cost(
        _seconds(lambda: maps_of(augment(read.to(device), draws)), device, budget / 2),
        _seconds(lambda: maps_of(test), device, budget / 2) / training.batch_size,
    )
    costs = {}
    for name, (kind, options) in tqdm(
        methods.items(), desc=f"{categories} categories", unit="method"
    ):
        lane = made_up_lane(experiment, kind, options, categories, backbone, device)
        rows = torch.arange(training.batch_size, device=device)

        def train_step(lane=lane, rows=rows) -> None:
            lane.step %= lane.steps
            lane.train_step(maps, rows)

        costs[name] = Cost(
            _seconds(train_step, device, budget * 0.75),
            _seconds(lambda lane=lane: lane.predict(maps), device, budget / 4)
            / training.batch_size,
        )
    return DatasetCosts(shared, costs)


def made_up_lane(
    experiment: Experiment,
    kind: type[Method],
    options: Hyperparameters,
    categories: int,
    backbone: Backbone,
    device: torch.device,
) -> Lane:
    """A lane of a method in mid-schedule, on images that do not exist."""
    training = experiment.training
    table = split(made_up_table(training.batch_size * BATCHES, categories), 0.5)
    name = kind.__name__
    run = RunSpec(experiment.name, "made-up", name, name, kind, options, table, Path())
    shared = Shared(experiment.model.model_copy(update={"word_vectors": None}), training, table,
                    Path(), Path(), device)  # fmt: skip
    lane = build_lane(run, shared, backbone, seed=0, checkpoint=Path())
    lane.epoch = training.epochs // 2  # when pseudo-labels have begun
    return lane


def made_up_table(images: int, categories: int) -> LabelTable:
    """Labels of images that do not exist, as many positive as in COCO."""
    present = np.random.default_rng(0).random((images, categories)) < POSITIVE_SHARE
    present[0] = True  # a category without positives would be spared some of the work
    return LabelTable(
        folder="",
        file_names=tuple(f"{i}.jpg" for i in range(images)),
        image_ids=np.arange(images),
        categories=tuple(f"category {i}" for i in range(categories)),
        labels=np.where(present, 1, -1).astype(np.int8),
    )


def _seconds(action: Callable[[], object], device: torch.device, budget: float) -> float:
    """Mean seconds of a call, after one that does not count."""

    def finish() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    action()
    finish()
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < budget:
        action()
        finish()
        calls += 1
    return (time.perf_counter() - start) / calls


def training_hours(
    experiment: Experiment, sizes: dict[str, DatasetSize], costs: dict[str, DatasetCosts]
) -> tuple[float, float]:
    """Hours of all training jobs with `lanes`, and of the same runs one by one."""
    training = experiment.training
    together = alone = 0.0
    for job in training_jobs(experiment):
        dataset = job.runs[0].dataset
        size, cost = sizes[dataset], costs[dataset]
        steps = training.epochs * (size.train // training.batch_size)
        tests = training.epochs * size.test
        shared = steps * cost.shared.train + tests * cost.shared.test
        own = sum(
            steps * cost.methods[run.method].train + tests * cost.methods[run.method].test
            for run in job.runs
        )
        together += shared + own
        alone += shared * len(job.runs) + own
    return together / 3600, alone / 3600
