"""model.safetensors: a trained network and all that it takes to use it, in one file.

Tensors are those of `Network`: `frozen.…` and `trained.…`. The facts beside them (`ModelFacts`, as
JSON) rebuild the network, say how images are prepared for it, and decide from scores.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from satl.config import MethodEntry, Model, Training
from satl.config.explain import explain
from satl.core.errors import UserError
from satl.core.files import existing, writing
from satl.core.places import METHODS
from satl.core.strict import Strict
from satl.decisions import DecisionThresholds, f1_thresholds
from satl.methods.base import Context, Hyperparameters, Method
from satl.methods.registry import checked_method
from satl.models.backbone import Backbone, build_backbone, initial_weights
from satl.models.network import Network
from satl.runs.layout import MODEL_FILE
from satl.runs.model_facts import KEY, read_facts
from satl.training.context import RunSpec, TrainingContext, wanted_weights
from satl.training.run import TrainingRun


class ModelFacts(Strict):
    """What a model file says beside the weights.

    Attributes:
        experiment, dataset, name, known_ratio, seed: the run; `name` is what the config calls its
            method, which is `method` with `options`.
        categories: C names, in the order of the logits.
        model, training: the sections of the experiment file; `training` has the size of images.
        mean, std: per channel, of images in 0..1, that inputs are scaled by.
        word_dim: length of the word embeddings.
        keep_weights, epoch: which epoch's weights these are, from 1.
        thresholds: C logits from which on a category counts as present (satl.decisions).
        chosen: which of them known labels have chosen; the others stand at probability 0.5.
        chosen_on: of which images these labels were; `labels_sha256` is the digest of their table.
    """

    experiment: str
    dataset: str
    name: str
    method: str
    options: dict[str, Any]
    known_ratio: float | str
    seed: int
    categories: tuple[str, ...]
    model: Model
    training: Training
    mean: tuple[float, ...]
    std: tuple[float, ...]
    word_dim: int
    keep_weights: str
    epoch: int
    thresholds: tuple[float, ...]
    chosen: tuple[bool, ...]
    chosen_on: Literal["held-out images", "training images"]
    labels_sha256: str


@dataclass(frozen=True)
class TrainedModel:
    """A network in evaluation mode, and its facts."""

    network: Network
    facts: ModelFacts


def write_model(
    path: Path, spec: RunSpec, shared: TrainingContext, run: TrainingRun, backbone: Backbone
) -> None:
    """Write the weights that `training.keep_weights` asks for, with their facts."""
    epoch, weights = run.kept_weights()
    network = Network(backbone.frozen, run.model, backbone.mean, backbone.std)
    tensors = network.state_dict() | {f"trained.{name}": value for name, value in weights.items()}
    decisions = _decisions(spec, run, epoch)
    wanted = wanted_weights(spec, shared)
    assert wanted is not None, "weights are to be kept"
    facts = ModelFacts(
        experiment=spec.experiment,
        dataset=spec.dataset,
        name=spec.variant,
        method=spec.method,
        options=spec.options.model_dump(mode="json"),
        known_ratio=spec.key.known_ratio,
        seed=spec.seed,
        categories=spec.observed.categories,
        model=shared.model,
        training=shared.training_of(spec),
        mean=backbone.mean,
        std=backbone.std,
        word_dim=shared.word_vectors(spec.observed.categories).shape[1],
        epoch=epoch,
        thresholds=tuple(decisions.logits.tolist()),
        chosen=tuple(decisions.chosen.tolist()),
        chosen_on="training images" if spec.held_out is None else "held-out images",
        **wanted,
    )
    content = {name: value.cpu().contiguous().clone() for name, value in tensors.items()}
    with writing(path) as temporary:
        temporary.write_bytes(save(content, {KEY: facts.model_dump_json()}))


def _decisions(spec: RunSpec, run: TrainingRun, epoch: int) -> DecisionThresholds:
    """On the known labels of the images held out, else of those in training."""
    arrays = run.history.of_epoch(epoch)
    if spec.held_out is None:
        return f1_thresholds(arrays["train_logits"], spec.observed.labels)
    labels = spec.held_out.labels
    return f1_thresholds(arrays["predicted_logits"][: len(labels)], labels)


def model_path(path: Path) -> Path:
    """The model file of a run folder, or the file itself. Raises UserError if there is none."""
    if not path.is_dir():
        return existing(path, "model file")
    if not (path / MODEL_FILE).is_file():
        raise UserError(
            f"{path}: holds no {MODEL_FILE}. Set training.keep_weights: last in the config and run "
            "it again, which trains its runs once more; and give the folder of one run, "
            "results/NAME/runs/DATASET/METHOD/known-RATIO/seed-SEED"
        )
    return path / MODEL_FILE


def read_model(path: Path) -> TrainedModel:
    """The model of a run.

    Args:
        path: a run folder, or a model file.

    Raises:
        UserError: there is none, it is damaged, or of another version of this code.
    """
    path = model_path(path)
    facts = _facts(path)
    if facts.method not in METHODS:
        raise UserError(f"{path}: is of the method {facts.method!r}, which is not here")
    kind, options = checked_method(
        facts.name, MethodEntry(method=facts.method, options=facts.options)
    )
    model = facts.model
    weights = initial_weights(model.backbone, "random")
    backbone = build_backbone(model.backbone, weights, model.frozen, facts.training.image_size)
    trained = untrained(kind, options, facts.categories, facts.word_dim, backbone, model)
    network = Network(backbone.frozen, trained, facts.mean, facts.std)
    try:
        network.load_state_dict(load_file(path))
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); train the run again") from error
    except RuntimeError as error:
        raise _of_other_code(path, str(error)) from error
    return TrainedModel(network.eval().requires_grad_(False), facts)


def _facts(path: Path) -> ModelFacts:
    content = read_facts(path)
    if not content:
        raise UserError(f"{path}: no model file of `satl train`, or damaged")
    try:
        return ModelFacts.model_validate(content)
    except ValidationError as error:
        raise _of_other_code(path, explain(error, ModelFacts, {})) from error


def _of_other_code(path: Path, why: str) -> UserError:
    return UserError(
        f"{path}: was written by another version of this code, whose networks are others; train "
        f"the run again, or use that version.\n{why}"
    )


def untrained(
    kind: type[Method],
    options: Hyperparameters,
    categories: tuple[str, ...],
    word_dim: int,
    backbone: Backbone,
    model: Model,
) -> nn.Module:
    """The trained part of a network with everything as in training but its weights.

    Word embeddings, and what is counted over labels, are among the weights: they are made of
    nothing here, and of two images, one with all categories and one without any.
    """
    labels = torch.tensor([[1], [-1]], dtype=torch.int8).expand(2, len(categories))
    context = Context(categories, epochs=1, steps_per_epoch=1, labels=labels.contiguous())
    words: Tensor = torch.zeros(len(categories), word_dim)
    return kind(options, context).build_model(backbone, words, model)
