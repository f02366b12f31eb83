"""Epochs of the real engine, data path included, as benchmarks time them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from satl.data.table import LabelTable
from satl.methods.registry import method_class
from satl.models.backbone import build_backbone, initial_weights
from satl.training.context import RunSpec, TrainingContext
from satl.training.engine import build_run, feature_source
from satl.training.precision import prepare_torch
from satl.training.stopping import StopRequest
from satl.training.trainer import Trainer, epoch_order


def trainer_of(shared: TrainingContext, observed: LabelTable, methods: Sequence[str]) -> Trainer:
    """The trainer of one run for each of `methods`, with random weights."""
    prepare_torch(shared.training, shared.device)
    name = shared.model.backbone
    backbone = build_backbone(name, initial_weights(name, "random"))
    runs = []
    for method in methods:
        kind = method_class(method)
        spec = RunSpec("bench", "bench", method, method, kind, kind.Options(), observed, Path())
        runs.append(build_run(spec, shared, backbone, shared.store))
    strong = any(run.strong_view for run in runs)
    features = feature_source(shared, backbone, observed, 0, strong)
    return Trainer(shared.training, features, runs, len(observed.file_names), seed=0)


def epoch_of(trainer: Trainer, epoch: int) -> Callable[[], None]:
    """A function that trains all runs for the epoch of that number."""

    def train() -> None:
        for run in trainer.runs:
            run.epoch, run.step = epoch, 0
        trainer._train_epoch(epoch, StopRequest())

    return train


def images_trained(trainer: Trainer) -> int:
    """In an epoch, by all runs together."""
    batches = epoch_order(trainer.training, trainer.images, 0, 0)
    return sum(map(len, batches)) * len(trainer.runs)
