"""Fixed threshold: pseudo-labels from one score threshold for all categories.

It runs on the network and the schedule of SATL, so that comparing the two isolates what the
category-specific thresholds do. With `ranking_weight: 1` it has SATL's ranking loss too.
"""

import torch
from pydantic import Field
from torch import Tensor

from satl.losses import differential_ranking, partial_bce
from satl.methods.base import Context, Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs
from satl.thresholds import Thresholds, pseudo_labels


class FixedThresholdOptions(Hyperparameters):
    """Hyperparameters of the fixed threshold."""

    threshold: float = Field(0.9, gt=0, lt=1, description="score from which on: positive")
    negative_threshold: float | None = Field(
        None, gt=0, lt=1, description="score up to which: negative; none: no pseudo-negatives"
    )
    warmup: float = Field(0.2, ge=0, le=1, description="share of epochs before pseudo-labels")
    ranking_weight: float = Field(0.0, ge=0, description="weight of SATL's ranking loss; 0: none")


class FixedThreshold(Method[FixedThresholdOptions]):
    """Partial BCE on the known labels plus partial BCE on the pseudo-labels."""

    tau_pos: Tensor
    tau_neg: Tensor

    def __init__(self, options: FixedThresholdOptions, context: Context) -> None:
        super().__init__(options, context)
        self.first_pseudo_epoch = context.first_epoch_after(options.warmup)
        one = torch.ones(len(context.categories))
        negative = options.negative_threshold or 0.0  # logit(0) = -inf: never reached
        self.register_buffer("tau_pos", torch.logit(one * options.threshold))
        self.register_buffer("tau_neg", torch.logit(one * negative))

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        losses = {"known": partial_bce(outputs.logits, labels)}
        if self.options.ranking_weight:
            losses["ranking"] = self.options.ranking_weight * differential_ranking(
                outputs.logits, labels
            )
        if progress.epoch < self.first_pseudo_epoch:
            return StepResult(losses)
        thresholds = Thresholds(pos=self.tau_pos, neg=self.tau_neg)
        pseudo = pseudo_labels(outputs.logits, labels, thresholds)
        losses["pseudo"] = partial_bce(outputs.logits, pseudo)
        return StepResult(losses, pseudo)

    def thresholds(self) -> dict[str, Tensor]:
        columns = {"tau_pos": self.tau_pos}
        if self.options.negative_threshold is not None:
            columns["tau_neg"] = self.tau_neg
        return columns
