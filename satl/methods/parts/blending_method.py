"""What SARB and DSRB share: known labels, blended instances, blended prototypes."""

from abc import abstractmethod
from typing import TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from satl.losses import partial_bce
from satl.methods.base import Context, Progress, StepResult
from satl.methods.parts.blending import blend, blend_instances
from satl.methods.parts.graph_method import GraphMethod, GraphOptions
from satl.models.graph_net import GraphOutputs


class BlendingOptions(GraphOptions):
    """Hyperparameters of methods that blend representations."""

    alpha: float = Field(0.5, ge=0, le=1, description="start of α, what an image keeps of itself")
    beta: float = Field(0.5, ge=0, le=1, description="start of β, the same for prototypes")


BlendingOptionsT = TypeVar("BlendingOptionsT", bound=BlendingOptions)


class BlendingMethod(GraphMethod[BlendingOptionsT]):
    """Base of methods that complement unknown labels by blending features of positives in.

    α and β are trained along, through features and labels, and kept in [0, 1].
    """

    def __init__(self, options: BlendingOptionsT, context: Context) -> None:
        super().__init__(options, context)
        self.alpha = nn.Parameter(torch.tensor(options.alpha))
        self.beta = nn.Parameter(torch.tensor(options.beta))

    @abstractmethod
    def remember(self, outputs: GraphOutputs, labels: Tensor, progress: Progress) -> None:
        """Take up the known positives of a batch; called in every step."""

    @abstractmethod
    def choose_prototypes(
        self, outputs: GraphOutputs, labels: Tensor, progress: Progress
    ) -> tuple[Tensor, Tensor]:
        """(B, C, D) prototypes (or what broadcasts to it) and the (B, C) mask where to blend."""

    def step(self, outputs: GraphOutputs, labels: Tensor, progress: Progress) -> StepResult:
        losses = self.known_losses(outputs, labels, progress)
        self.remember(outputs, labels, progress)
        if progress.epoch < self.first_epoch:
            return StepResult(losses)
        with torch.no_grad():
            self.alpha.clamp_(0, 1)
            self.beta.clamp_(0, 1)
        others, chosen = self.choose_prototypes(outputs, labels, progress)
        blended = {
            "instances": blend_instances(outputs.features, labels, self.alpha),
            "prototypes": blend(outputs.features, labels, others, chosen, self.beta),
        }
        # One pass through the graph for both: it treats each image by itself.
        logits = outputs.classify(torch.cat([features for features, _ in blended.values()]))
        for (name, (_, targets)), part in zip(blended.items(), logits.chunk(2), strict=True):
            losses[name] = partial_bce(part, targets)
        return StepResult(losses)
