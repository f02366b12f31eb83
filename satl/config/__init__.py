"""The experiment file (YAML), as a strict schema. Imports no torch: the workflow reads it too."""

from satl.config.experiment import Experiment
from satl.config.known import Known, known_title, observe_entries, ratio_name
from satl.config.methods import MethodEntry
from satl.config.reading import load, parse, read_options
from satl.config.report import Report
from satl.config.shown import Shown
from satl.config.sources import SourceOverride
from satl.config.training import Model, Pretraining, Training
from satl.core.strict import Strict

__all__ = [
    "Experiment", "Known", "MethodEntry", "Model", "Pretraining", "Report", "Shown",
    "SourceOverride", "Strict", "Training", "known_title", "load", "observe_entries", "parse",
    "ratio_name", "read_options",
]  # fmt: skip
