"""The experiment file (YAML), as a strict schema. Imports no torch: the workflow reads it too."""

from satl.config.experiment import (
    Experiment,
    Known,
    MethodEntry,
    load,
    observe_entries,
    parse,
    ratio_name,
    read_options,
    tuned_table,
    with_learning_rate,
)
from satl.config.report import Report
from satl.config.sources import SourceOverride
from satl.config.training import Model, Pretraining, Training
from satl.core.strict import Strict

__all__ = [
    "Experiment", "Known", "MethodEntry", "Model", "Pretraining", "Report", "SourceOverride",
    "Strict", "Training", "load", "observe_entries", "parse", "ratio_name", "read_options",
    "tuned_table", "with_learning_rate",
]  # fmt: skip
