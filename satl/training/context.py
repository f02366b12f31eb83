"""What is to be trained: the runs of one job, and what they have in common."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from satl.config import Model, Training
from satl.core.errors import UserError
from satl.data.embeddings import word_embeddings
from satl.data.table import LabelTable
from satl.methods.base import Hyperparameters, Method
from satl.models.backbone import load_weights
from satl.runs.fingerprint import (
    Fingerprint,
    known_settings,
    library_versions,
    settings,
    training_code,
)
from satl.runs.layout import RunKey
from satl.training.feature_file import FeatureFile

STRONG = "strong"  # the part of the data set that strong views of training images are


@dataclass(frozen=True)
class RunSpec:
    """One run to be trained: a method on a partially labelled table.

    Attributes:
        experiment, dataset, variant: names, as the config gives them.
        method: the name of the method that `variant` is; `kind` is its class.
        options: of the method, checked and with defaults filled in.
        observed: the training images with what is known of their labels.
        folder: the run folder to write.
        seed: of the training; the mask of `observed` has one of its own.
        own_training: settings of its own, in place of the job's (`MethodEntry.own_training`).
        held_out: the images held out with what is known of their labels, which may choose an epoch
            and the thresholds of decisions; none: the labels of `observed` choose thresholds.
    """

    experiment: str
    dataset: str
    variant: str
    method: str
    kind: type[Method]
    options: Hyperparameters
    observed: LabelTable
    folder: Path
    seed: int = 0
    own_training: Mapping[str, float] = field(default_factory=dict)
    held_out: LabelTable | None = None

    @property
    def key(self) -> RunKey:
        """What tells this run from the others of its experiment."""
        return RunKey(self.dataset, self.variant, self.observed.info["known_ratio"], self.seed)

    @property
    def title(self) -> str:
        """What messages call this run."""
        masked = "known_ratio" in self.observed.info
        return f"{self.variant} {self.key.known_part}" if masked else self.variant


@dataclass(frozen=True)
class TrainingContext:
    """What the runs of one training job have in common.

    `test` and `validation` (the images held out, if any are) are read for their images alone;
    `weights` is the file of the backbone's weights, `words` that of the word vectors (None: as the
    config says); `store` keeps trainings (satl.runs.store). By part of the data set, `pixels` are
    the files of decoded images, where `training.image_cache` is disk, and `features` those of
    feature maps, where `training.cached_views` asks for them.
    """

    model: Model
    training: Training
    test: LabelTable
    weights: Path
    store: Path
    device: torch.device
    words: Path | None = None
    validation: LabelTable | None = None
    pixels: Mapping[str, Path | None] = field(default_factory=dict)
    features: Mapping[str, Path | None] = field(default_factory=dict)

    def training_of(self, run: RunSpec) -> Training:
        """The protocol of one run, with what it has of its own."""
        return self.training.with_own(run.own_training)

    @property
    def predicted(self) -> dict[str, LabelTable]:
        """The images that every epoch is tried on, by part: those held out, then the test's."""
        held_out = {} if self.validation is None else {"validation": self.validation}
        return {**held_out, "test": self.test}

    def word_vectors(self, categories: tuple[str, ...]) -> np.ndarray:
        """(C, word_dim) of the categories' names."""
        path = str(self.words) if self.words else self.model.word_vectors
        return word_embeddings(categories, path)

    def feature_files(self, observed: LabelTable) -> dict[str, FeatureFile]:
        """By part. Raises UserError if one is missing or of other images."""
        files = {}
        for part, table in {"train": observed, **self.predicted}.items():
            path = self.features.get(part)
            if path is None:
                raise UserError(
                    f"training.cached_views is set: give --{part}-features, from `satl features`"
                )
            files[part] = FeatureFile.open(path, table.without_labels().digest())
        return files

    def strong_feature_file(self, observed: LabelTable) -> FeatureFile:
        """Of strong views of training images. Raises UserError if missing or of other images."""
        path = self.features.get(STRONG)
        if path is None:
            raise UserError(
                "training.cached_views is set, and a method compares an image with its strong "
                "view: set training.cached_strong_views too, and give --strong-features, from "
                "`satl features --part strong`"
            )
        return FeatureFile.open(path, observed.without_labels().digest())

    @cached_property
    def backbone_weights(self) -> dict[str, Tensor]:
        """What training starts from. Raises UserError where the file is something else."""
        return load_weights(self.weights)

    @cached_property
    def weights_digest(self) -> str:
        """Of the backbone's weights, whatever file they lie in."""
        total = hashlib.sha256()
        for name, value in sorted(self.backbone_weights.items()):
            total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            total.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())
        return total.hexdigest()


def check_held_out(run: RunSpec, shared: TrainingContext) -> None:
    """Raises UserError where labels of images held out are needed, or are of other images."""
    held_out, predicted = run.held_out, shared.validation
    if held_out is None:
        if shared.training.keep_weights == "best_on_validation":
            raise UserError(
                "training.keep_weights is best_on_validation: give --validation-labels, from "
                "`satl split` of the images held out"
            )
    elif predicted is None or predicted.digest() != held_out.without_labels().digest():
        raise UserError(
            f"{run.title}: --validation-labels are of other images than --validation-images"
        )


def wanted_weights(run: RunSpec, shared: TrainingContext) -> dict[str, str] | None:
    """What a model file must say of itself to be what this run is to keep; None: it keeps none."""
    keep = shared.training.keep_weights
    if keep is None:
        return None
    chosen_on = run.observed if run.held_out is None else run.held_out
    return {"keep_weights": keep, "labels_sha256": chosen_on.digest()}


def run_config(run: RunSpec, shared: TrainingContext) -> dict[str, Any]:
    """The run as resolved: what config.yaml holds."""
    info = run.observed.info
    return {
        "experiment": run.experiment,
        "dataset": run.dataset,
        "method": run.variant,
        "method_class": run.method,
        "options": run.options.model_dump(mode="json"),
        "known_ratio": info["known_ratio"],
        "observe": info["observe"],
        "seed": run.seed,
        "mask_seed": info["seed"],
        "validation": info.get("validation", 0.0),
        "model": shared.model.model_dump(mode="json"),
        "training": shared.training_of(run).model_dump(mode="json"),
        "split": {
            "mask_sha256": info["mask_sha256"],
            "realised_known_ratio": info["realised_known_ratio"],
            "table_sha256": run.observed.digest(),
            "test_images_sha256": shared.test.without_labels().digest(),
        },
    }


def run_fingerprint(run: RunSpec, shared: TrainingContext) -> Fingerprint:
    """All that can change a number of this run (satl.runs.fingerprint)."""
    options = run.options.model_dump(mode="json")
    words = shared.word_vectors(run.observed.categories)
    asked = settings(
        training_code(run.kind.__module__), run.method, options,
        shared.model, shared.training_of(run),
        known_settings(run.key.known_ratio, run.observed.info["observe"]), run.seed,
        run.observed.info.get("validation", 0.0),
    )  # fmt: skip
    features = {}
    if shared.training.cached_views:
        files = shared.feature_files(run.observed)
        if run.kind.wants_strong_view(run.options):
            files[STRONG] = shared.strong_feature_file(run.observed)
        features = {f"{part}_features": file.sha256 for part, file in files.items()}
    images = {
        f"{part}_image_files": table.images_sha256
        for part, table in {"train": run.observed, **shared.predicted}.items()
    }
    return {
        **asked,
        "inputs": {
            **features,
            **{name: sha256 for name, sha256 in images.items() if sha256 is not None},
            "labels": run.observed.digest(),
            **{
                f"{part}_images": table.without_labels().digest()
                for part, table in shared.predicted.items()
            },
            "weights": shared.weights_digest,
            "word_embeddings": hashlib.sha256(words.tobytes()).hexdigest(),
        },
        "device": shared.device.type,
        "versions": library_versions(),
    }
