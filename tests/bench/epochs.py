"""Epochs of the real engine, data path included, as benchmarks time them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from satl.cli.methods import method_class
from satl.data.table import LabelTable
from satl.models.backbone import build_backbone, initial_weights
from satl.training.context import RunSpec, Shared
from satl.training.engine import build_lane, prepare_torch
from satl.training.stopping import StopRequest
from satl.training.trainer import Trainer, epoch_order


def trainer_of(shared: Shared, observed: LabelTable, methods: Sequence[str]) -> Trainer:
    """The trainer of one lane for each of `methods`, with random weights."""
    prepare_torch(shared.training, shared.device)
    name = shared.model.backbone
    backbone = build_backbone(name, initial_weights(name, "random"))
    lanes = []
    for method in methods:
        kind = method_class(method)
        run = RunSpec("bench", "bench", method, method, kind, kind.Options(), observed, Path())
        lanes.append(build_lane(run, shared, backbone, 0, shared.store))
    return Trainer(shared, backbone, lanes, observed, seed=0)


def epoch_of(trainer: Trainer, epoch: int) -> Callable[[], None]:
    """A function that trains all lanes for the epoch of that number."""

    def train() -> None:
        for lane in trainer.lanes:
            lane.epoch, lane.step = epoch, 0
        trainer._train_epoch(trainer.lanes, epoch, StopRequest())

    return train


def images_trained(trainer: Trainer) -> int:
    """In an epoch, by all lanes together."""
    batches = epoch_order(trainer.training, len(trainer.train_images), 0, 0)
    return sum(map(len, batches)) * len(trainer.lanes)
