"""What an experiment will cost: training times measured on this machine, scaled to all runs.

Frozen stages, data path and each method's own part are timed apart; a job of several runs is
then what they share, once, and the methods' parts of all its runs. With `cached_views` the frozen
stages are no part of a job: each view of an image passes them once per data set. A renewal of
prototypes, one step in thousands, is left out.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from tqdm import tqdm

from satl.config import Experiment, Training
from satl.data.formats.base import DatasetSize
from satl.data.images.batches import Augmentation, augmentation_draws
from satl.data.images.strong import StrongAugmentation, strong_draws
from satl.estimate.frozen import random_backbone
from satl.estimate.sizes import views_per_image
from satl.estimate.synthetic import synthetic_run
from satl.methods.base import Hyperparameters, Method
from satl.models.backbone import Backbone
from satl.runs.layout import training_jobs
from satl.training.features import frozen_features, frozen_stages
from satl.training.precision import prepare_torch

Methods = Mapping[str, tuple[type[Method], Hyperparameters]]


@dataclass(frozen=True)
class Cost:
    """Seconds of one training batch, and of one test image."""

    train: float
    test: float


@dataclass(frozen=True)
class DatasetCosts:
    """What the runs of a job share, and each method's own part."""

    shared: Cost
    methods: dict[str, Cost]


@dataclass(frozen=True)
class Hours:
    """Of a whole experiment on one device.

    Attributes:
        features: of computing the feature maps that `cached_views` keeps, once.
        training: of all jobs, with `runs_per_job`.
        one_by_one: of the same runs with one run per job.
    """

    features: float
    training: float
    one_by_one: float


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
    backbone = random_backbone(experiment)
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

    cached = features_of(augment_strongly(read.to(device), drawn_strong))

    def strong_features() -> torch.Tensor:
        if training.cached_views:  # of strong views, too, they are computed beforehand
            return cached
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

    def train_step() -> None:
        run.step = 1  # not the first one, which renews prototypes
        # Several runs of a job share strong views; here each bears the whole cost of its own.
        run.train_step(train, rows, *([strong_features()] if run.strong_view else []))

    step = _seconds(train_step, train.device, budget * 0.75)
    predict = _seconds(lambda: run.predict(test), train.device, budget / 4)
    return Cost(step, predict / len(test))


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


def all_hours(
    experiment: Experiment, sizes: dict[str, DatasetSize], costs: dict[str, DatasetCosts]
) -> Hours:
    """Of all runs of the experiment, from what their parts cost."""
    training = experiment.training
    views, epochs, evaluations = views_per_image(training), training.epochs, training.evaluations
    features = together = alone = 0.0
    for dataset, size in sizes.items() if views else ():
        features += _frozen_seconds(training, size, costs[dataset].shared, views, 1)
    for job in training_jobs(experiment):
        dataset = job.runs[0].dataset
        size, cost = sizes[dataset], costs[dataset]
        shared = 0.0 if views else _frozen_seconds(training, size, cost.shared, epochs, evaluations)
        own = sum(
            epochs * _steps(training, size.train) * own.train + evaluations * size.test * own.test
            for own in (cost.methods[experiment.tuned_method(run.method)] for run in job.runs)
        )
        together += shared + own
        alone += shared * len(job.runs) + own
    return Hours(features / 3600, together / 3600, alone / 3600)


def _frozen_seconds(
    training: Training, size: DatasetSize, cost: Cost, train_passes: int, test_passes: int
) -> float:
    """Of passing all training and all test images through the frozen stages so many times."""
    steps = train_passes * _steps(training, size.train)
    return steps * cost.train + test_passes * size.test * cost.test


def _steps(training: Training, images: int) -> int:
    """Per epoch."""
    whole, rest = divmod(images, training.batch_size)
    return whole if training.drop_last and whole else whole + (rest > 0)
