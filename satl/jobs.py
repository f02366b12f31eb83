"""What is to be trained: the runs of one job, and what they have in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from satl.config import Model, Training
from satl.data.table import LabelTable


@dataclass(frozen=True)
class RunSpec:
    """One run to be trained: a method on a partially labelled table.

    Attributes:
        experiment, dataset, variant: names, as the config gives them.
        method: the registered method that `variant` is; `options`: what differs from its defaults.
        observed: the training images with what is known of their labels.
        folder: the run folder to write.
    """

    experiment: str
    dataset: str
    variant: str
    method: str
    options: dict[str, Any]
    observed: LabelTable
    folder: Path


@dataclass(frozen=True)
class Shared:
    """What the runs of one training job have in common.

    `test` is read for its images alone; `weights` is the file of the backbone's weights, `words`
    that of the word vectors (None: as the config says).
    """

    model: Model
    training: Training
    test: LabelTable
    weights: Path
    checkpoints: Path
    device: torch.device
    words: Path | None = None


def run_config(run: RunSpec, shared: Shared, options: dict[str, Any]) -> dict[str, Any]:
    """The run as resolved: what config.yaml holds."""
    info = run.observed.info
    return {
        "experiment": run.experiment,
        "dataset": run.dataset,
        "method": run.variant,
        "method_class": run.method,
        "options": options,
        "known_ratio": info["known_ratio"],
        "seed": info["seed"],
        "model": shared.model.model_dump(mode="json"),
        "training": shared.training.model_dump(mode="json"),
        "split": {
            "mask_sha256": info["mask_sha256"],
            "realised_known_ratio": info["realised_known_ratio"],
            "table_sha256": run.observed.digest(),
            "test_images_sha256": shared.test.without_labels().digest(),
        },
    }
