"""Runs on images that do not exist, to time or count what a real one would do."""

from pathlib import Path

import numpy as np
import torch

from satl.config import Experiment
from satl.data.splits import split
from satl.data.table import LabelTable
from satl.methods.base import Hyperparameters, Method
from satl.models.backbone import Backbone
from satl.training.context import RunSpec, TrainingContext
from satl.training.engine import build_run
from satl.training.run import TrainingRun

POSITIVE_SHARE = 0.04  # about three of COCO's eighty categories per image
BATCHES = 4  # of the synthetic table


def synthetic_run(
    experiment: Experiment,
    kind: type[Method],
    options: Hyperparameters,
    categories: int,
    backbone: Backbone,
    device: torch.device,
) -> TrainingRun:
    """A run of a method in mid-schedule, on images that do not exist."""
    training, name = experiment.training, kind.__name__
    table = split(synthetic_table(training.batch_size * BATCHES, categories), 0.5)
    spec = RunSpec(experiment.name, "synthetic", name, name, kind, options, table, Path())
    model = experiment.model.model_copy(update={"word_vectors": None})
    shared = TrainingContext(model, training, table, Path(), Path(), device)
    run = build_run(spec, shared, backbone, folder=Path())
    run.epoch = training.epochs // 2  # when pseudo-labels have begun
    return run


def synthetic_table(images: int, categories: int) -> LabelTable:
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
