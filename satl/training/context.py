"""What is to be trained: the runs of one job, and what they have in common."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from satl.config import SPEED_ONLY, Model, Training
from satl.core.files import digest, existing
from satl.data.embeddings import word_vectors
from satl.data.table import LabelTable
from satl.runs.codehash import training_code


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

    @property
    def title(self) -> str:
        """What messages call this run."""
        ratio = self.observed.info.get("known_ratio")
        return f"{self.variant} known-{ratio}" if ratio else self.variant


@dataclass(frozen=True)
class Shared:
    """What the runs of one training job have in common.

    `test` is read for its images alone; `weights` is the file of the backbone's weights, `words`
    that of the word vectors (None: as the config says); the pixel files hold the decoded images
    where `training.image_cache` is disk.
    """

    model: Model
    training: Training
    test: LabelTable
    weights: Path
    checkpoints: Path
    device: torch.device
    words: Path | None = None
    train_pixels: Path | None = None
    test_pixels: Path | None = None

    def word_vectors(self, categories: tuple[str, ...]) -> np.ndarray:
        """(C, word_dim) of the categories' names."""
        path = str(self.words) if self.words else self.model.word_vectors
        return word_vectors(categories, path)

    @cached_property
    def weights_digest(self) -> str:
        """Of the file of the backbone's weights."""
        return hashlib.sha256(existing(self.weights, "weights file").read_bytes()).hexdigest()


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


def what_counts(config: dict[str, Any]) -> dict[str, Any]:
    """A run's config without the settings that change nothing but its speed."""
    training = {k: v for k, v in config.get("training", {}).items() if k not in SPEED_ONLY}
    return {**config, "training": training}


def run_identity(run: RunSpec, shared: Shared, config: dict[str, Any]) -> str:
    """A name for all that can change a number of this run: its config, code and input files.

    Checkpoints and finished runs are used again only under the same name.
    """
    words = shared.word_vectors(run.observed.categories)
    return digest(
        [
            what_counts(config),
            training_code(run.method),
            run.observed.folder,
            shared.test.folder,
            shared.weights_digest,
            hashlib.sha256(words.tobytes()).hexdigest(),
        ]
    )
