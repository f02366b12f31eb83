"""SR-ST: class maps, and pseudo-labels of one view of an image for another (ICCV 2023).

What the network makes of an ordinary view is the target for a strongly augmented one
(RandAugment, cutout), wherever it is sure enough.
"""

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from satl.config import Model
from satl.losses import partial_bce
from satl.methods.base import Context, Hyperparameters, Method, Progress, StepResult
from satl.models.backbone import Backbone
from satl.models.class_map_net import ClassMapNet
from satl.models.outputs import Outputs
from satl.thresholds import Thresholds, pseudo_labels


class SRSTOptions(Hyperparameters):
    """Hyperparameters of SR-ST; the defaults are the paper's, as far as we know them."""

    threshold: float = Field(
        0.6, ge=0.5, lt=1, description="score, and of negatives one less it, for a pseudo-label"
    )
    warmup: float = Field(0.0, ge=0, le=1, description="share of epochs before pseudo-labels")
    pseudo_weight: float = Field(1.0, ge=0, description="weight of pseudo-labels")
    top: int = Field(5, ge=1, description="positions of a class map that its peak is the mean of")
    peak_weight: float = Field(0.5, ge=0, description="weight of that peak beside the map's mean")


class SRST(Method[SRSTOptions]):
    """Partial BCE on the ordinary view; on the strong one, partial BCE on pseudo-labels alone."""

    tau: Tensor  # (C,) logits

    def __init__(self, options: SRSTOptions, context: Context) -> None:
        super().__init__(options, context)
        self.first_pseudo_epoch = context.first_epoch_after(options.warmup)
        tau = math.log(options.threshold / (1 - options.threshold))
        self.register_buffer("tau", torch.full((len(context.categories),), tau), persistent=False)

    @classmethod
    def wants_strong_view(cls, options: SRSTOptions) -> bool:
        return True

    def build_model(self, backbone: Backbone, word_embeddings: Tensor, model: Model) -> nn.Module:
        options = self.options
        return ClassMapNet(backbone, len(word_embeddings), options.top, options.peak_weight)

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        losses = {"known": partial_bce(outputs.logits, labels)}
        if progress.epoch < self.first_pseudo_epoch:
            return StepResult(losses)
        thresholds = Thresholds(pos=self.tau, neg=-self.tau)
        pseudo = pseudo_labels(outputs.logits, labels, thresholds)
        assert outputs.strong is not None, "wants_strong_view asks for it"
        losses["pseudo"] = self.options.pseudo_weight * partial_bce(outputs.strong.logits, pseudo)
        return StepResult(losses, pseudo)

    def thresholds(self) -> dict[str, Tensor]:
        return {"tau_pos": self.tau, "tau_neg": -self.tau}
