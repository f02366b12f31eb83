"""What a method is: a module that turns a batch's outputs and labels into losses.

The engine owns optimiser, schedule, checkpoints and prediction. A method owns its losses and
its state: buffers are saved and restored with every checkpoint, and parameters, if it has any,
are trained along with the model.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, get_args

import torch
from torch import Tensor, nn

from satl.config import Model, Strict
from satl.models.backbone import Backbone
from satl.models.decoupling_net import SemanticDecouplingNet


class Hyperparameters(Strict):
    """Base of every method's hyperparameters; YAML overrides them, an unknown key is an error."""


OptionsT = TypeVar("OptionsT", bound=Hyperparameters)


@dataclass(frozen=True)
class Context:
    """What a method is told of the run when it is made."""

    categories: tuple[str, ...]
    epochs: int
    steps_per_epoch: int
    labels: Tensor  # (N, C) int8, the observed labels of all training images

    def first_epoch_after(self, warmup: float) -> int:
        """Index (from 0) of the first epoch after warm-up.

        `warmup` is a fraction of all epochs; a warm-up that is not 0 lasts at least one epoch.
        """
        return max(1, round(warmup * self.epochs)) if warmup else 0


@dataclass(frozen=True)
class Progress:
    """Where in training a step is (both from 0), and the run's own random stream.

    `indices` (B,) are the rows of the batch's images in the training table.
    """

    epoch: int
    step: int
    indices: Tensor
    generator: torch.Generator


@dataclass(frozen=True)
class StepResult:
    """What a method makes of one batch.

    Attributes:
        losses: the weighted parts by name; the engine minimises their sum.
        pseudo_labels: (B, C) int8, +1 / -1 where an unknown label was filled in, else 0.
    """

    losses: dict[str, Tensor]
    pseudo_labels: Tensor | None = None


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters of a method that are trained alike.

    Attributes:
        parameters: the parameters.
        rate_factor: their learning rate, as a multiple of the network's.
        weight_decay: whether they decay as the network's do. Adam draws parameters that have no
            gradient to 0 at full speed, as those of images that are not in a batch.
    """

    parameters: tuple[nn.Parameter, ...]
    rate_factor: float = 1.0
    weight_decay: bool = True


class Method(nn.Module, ABC, Generic[OptionsT]):
    """Base class of all methods: `class SATL(Method[SATLOptions])`.

    The class in brackets is also found as `SATL.Options`.

    Args:
        options: an instance of the class's `Options`.
        context: facts of the run.
    """

    Options: ClassVar[type[Hyperparameters]] = Hyperparameters
    # Roughly, the time of a training step as a multiple of partial BCE's: longer jobs start first.
    relative_cost: ClassVar[float] = 1.0

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for base in vars(cls).get("__orig_bases__", ()):
            for given in get_args(base):
                # A base of several methods has a type variable, whose bound is its own Options.
                schema: Any = given.__bound__ if isinstance(given, TypeVar) else given
                if "Options" not in vars(cls) and issubclass(schema, Hyperparameters):
                    cls.Options = schema

    def __init__(self, options: OptionsT, context: Context) -> None:
        super().__init__()
        self.options = options
        self.context = context

    def build_model(self, backbone: Backbone, word_embeddings: Tensor, model: Model) -> nn.Module:
        """The trained part of the network: feature maps of the frozen stages to `Outputs`."""
        return SemanticDecouplingNet(
            backbone, word_embeddings, model.feature_dim, model.attention_dim
        )

    @classmethod
    def wants_strong_view(cls, options: OptionsT) -> bool:
        """Whether `step` is to see a strongly augmented view as well, as `outputs.strong`."""
        return False

    def parameter_groups(self) -> list[ParameterGroup]:
        """The method's own parameters, by how they are trained: by default as the network's."""
        return [ParameterGroup(tuple(self.parameters()))]

    @abstractmethod
    def step(self, outputs: Any, labels: Tensor, progress: Progress) -> StepResult:
        """Losses of one training batch; may update the method's state.

        Args:
            outputs: of the model, with gradients: `Outputs`, or what its network gives of it.
            labels: (B, C) int8, the observed labels: +1, -1, or 0 for unknown.
            progress: where in training this is.
        """

    def end_epoch(self, epoch: int, logits: Tensor) -> None:
        """Called after the steps of `epoch` (from 0); may update the method's state.

        Args:
            epoch: the epoch that has ended.
            logits: (N, C) of the training images as the model gave them in this epoch's steps;
                NaN in the rows of images that a dropped last batch left out.
        """

    def thresholds(self) -> dict[str, Tensor]:
        """(C,) values by column of thresholds.parquet, in logits; a method may have none."""
        return {}
