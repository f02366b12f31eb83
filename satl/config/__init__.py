"""The experiment file (YAML), as a strict schema. Imports no torch: the workflow reads it too."""

from satl.config.datasets import CocoDataset, CocoSplit, Dataset, GlyphsDataset, VgDataset
from satl.config.experiment import (
    Experiment,
    MethodEntry,
    load,
    parse,
    ratio_name,
    read_options,
)
from satl.config.sources import SourceOverride
from satl.config.training import Model, Pretraining, Training
from satl.core.strict import Strict

__all__ = [
    "CocoDataset", "CocoSplit", "Dataset", "Experiment", "GlyphsDataset", "MethodEntry", "Model",
    "Pretraining", "SourceOverride", "Strict", "Training", "VgDataset", "load", "parse",
    "ratio_name", "read_options",
]  # fmt: skip
