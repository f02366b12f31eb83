"""Disk space of the networks that `training.keep_weights` keeps."""

from functools import cache

from torch import nn

from satl.config import Experiment
from satl.data.embeddings import SUBSTITUTE_DIM
from satl.data.formats.base import DatasetSize
from satl.estimate.frozen import random_backbone
from satl.estimate.times import Methods
from satl.runs.layout import run_keys
from satl.training.model_file import untrained


def all_weights_bytes(
    experiment: Experiment, methods: Methods, sizes: dict[str, DatasetSize]
) -> int:
    """Of the model files of all runs: each has the frozen stages, too, so that it is enough.

    Args:
        experiment: whose `training.keep_weights` is set.
        methods: class and options of each of its methods, by the names it gives them.
        sizes: of its data sets; the number of categories matters.
    """
    backbone = random_backbone(experiment)

    @cache
    def trained(name: str, categories: int) -> int:
        names = tuple(map(str, range(categories)))
        kind, options = methods[name]
        return _bytes(untrained(kind, options, names, SUBSTITUTE_DIM, backbone, experiment.model))

    return sum(
        _bytes(backbone.frozen)
        + trained(experiment.tuned_method(run.method), sizes[run.dataset].categories)
        for run in run_keys(experiment)
    )


def _bytes(module: nn.Module) -> int:
    return sum(value.nbytes for value in module.state_dict().values())
