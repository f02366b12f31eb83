"""What an experiment will cost: training times measured on this machine, scaled to all runs.

Frozen stages, data path and each method's own part are timed apart; a job of several runs is
then what they share, once, and the methods' parts of all its runs.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from tqdm import tqdm

from satl.config import Experiment
from satl.data.formats.base import DatasetSize
from satl.data.images.batches import Augmentation, augmentation_draws
from satl.data.images.strong import StrongAugmentation, strong_draws
from satl.estimate.synthetic import synthetic_run
from satl.methods.base import Hyperparameters, Method
from satl.models.backbone import Backbone, build_backbone, initial_weights
from satl.runs.layout import training_jobs
from satl.training.features import frozen_features, frozen_stages
from satl.training.precision import prepare_torch

Methods = Mapping[str, tuple[type[Method], Hyperparameters]]


@dataclass(frozen=True)
class Cost:
    """Seconds of one training batch, of one test image, and of what an epoch starts with."""

    train: float
    test: float
    epoch: float = 0.0  # beyond an ordinary batch: renewing prototypes, say


@dataclass(frozen=True)
class DatasetCosts:
    """What the runs of a job share, and each method's own part."""

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
    read = _random_images(training.batch_size, training.resize)
    read = read.pin_memory() if device.type == "cuda" else read
    test = _random_images(training.eval_batch_size, training.image_size).to(device)
    augment = Augmentation(training.crop_scales, training.image_size, training.flip)
    draws = augmentation_draws(training.batch_size, 0, 0)

    def features_of(images: torch.Tensor) -> torch.Tensor:
        return frozen_features(frozen, images, training.precision)

    shared = Cost(
        _seconds(lambda: features_of(augment(read.to(device), draws)), device, budget / 2),
        _seconds(lambda: features_of(test), device, budget / 2) / training.eval_batch_size,
    )
    augment_strongly = StrongAugmentation(augment)
    drawn_strong = strong_draws(training.batch_size, 0, 0)

    def strong_features() -> torch.Tensor:
        return features_of(augment_strongly(read.to(device), drawn_strong))

    features = features_of(augment(read.to(device), draws)), features_of(test)
    costs = {
        name: _method_cost(
            experiment, kind, options, categories, backbone, features, strong_features, budget
        )
        for name, (kind, options) in tqdm(
            methods.items(), desc=f"{categories} categories", unit="method"
        )
    }
    return DatasetCosts(shared, costs)


def _random_images(count: int, side: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)


def _method_cost(
    experiment: Experiment,
    kind: type[Method],
    options: Hyperparameters,
    categories: int,
    backbone: Backbone,
    features: tuple[torch.Tensor, torch.Tensor],
    strong_features: Callable[[], torch.Tensor],
    budget: float,
) -> Cost:
    train, test = features
    run = synthetic_run(experiment, kind, options, categories, backbone, train.device)
    rows = torch.arange(len(train), device=train.device)

    def train_step(step: int) -> None:
        run.step = step
        # Several runs of a job share strong views; here each bears the whole cost of its own.
        run.train_step(train, rows, *([strong_features()] if run.strong_view else []))

    train_step(0)
    ordinary = _seconds(lambda: train_step(1), train.device, budget * 0.6)
    first = _seconds(lambda: train_step(0), train.device, budget * 0.15)
    predict = _seconds(lambda: run.predict(test), train.device, budget / 4)
    return Cost(ordinary, predict / len(test), max(0.0, first - ordinary))


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
    """Hours of all training jobs with `runs_per_job`, and of the same runs one by one."""
    training = experiment.training
    together = alone = 0.0
    for job in training_jobs(experiment):
        dataset = job.runs[0].dataset
        size, cost = sizes[dataset], costs[dataset]
        steps = training.epochs * (size.train // training.batch_size)
        tests = training.epochs * size.test
        shared = steps * cost.shared.train + tests * cost.shared.test
        own = sum(
            steps * own.train + tests * own.test + training.epochs * own.epoch
            for own in (cost.methods[run.method] for run in job.runs)
        )
        together += shared + own
        alone += shared * len(job.runs) + own
    return together / 3600, alone / 3600
