"""CAP: class-distribution-aware pseudo-labels (Xie et al., NeurIPS 2023).

SATL's nearest relative: thresholds by category, read not off score distributions but off a quota,
as many positives among the unlabelled images as their share among the labelled ones suggests.
"""

import torch
from pydantic import Field
from torch import Tensor

from satl.losses import partial_bce
from satl.methods.base import Context, Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs
from satl.thresholds import positive_share, pseudo_labels, quota_thresholds


def cap_pseudo_labels(
    scores: Tensor, positive_share: Tensor, keep_positive: float, keep_negative: float
) -> Tensor:
    """The highest scores of each category are positive and the lowest negative, by quota.

    Where a category has a share π of positives and n scores, ⌊κ₊ π n⌋ are positive and
    ⌊κ₋ (1 - π) n⌋ negative. The published code makes *all* positive where π n < 1; here, none.

    Args:
        scores: (N, C) of the unlabelled entries, in any monotone unit; NaN: an entry that is none.
        positive_share: π, (C,).
        keep_positive, keep_negative: κ₊ and κ₋.

    Returns:
        (N, C) int8, +1 / -1, or 0 for what is left out. Equal scores have equal labels.
    """
    thresholds = quota_thresholds(scores, positive_share, keep_positive, keep_negative)
    return pseudo_labels(scores, torch.zeros_like(scores), thresholds)


class CAPOptions(Hyperparameters):
    """Hyperparameters of CAP."""

    warmup: float = Field(0.2, ge=0, le=1, description="share of epochs before pseudo-labels")
    keep_positive: float = Field(1.0, ge=0, le=1, description="κ₊, of the expected positives")
    keep_negative: float = Field(0.998, ge=0, le=1, description="κ₋, of the expected negatives")


class CAP(Method[CAPOptions]):
    """Partial BCE on known labels and on pseudo-labels that each epoch replaces, weighed alike."""

    labels: Tensor  # (N, C) int8
    pseudo: Tensor  # (N, C) int8
    tau: Tensor  # (2, C) logits, of positives and negatives

    def __init__(self, options: CAPOptions, context: Context) -> None:
        super().__init__(options, context)
        self.first_pseudo_epoch = context.first_epoch_after(options.warmup)
        self.register_buffer("labels", context.labels, persistent=False)
        self.register_buffer("pseudo", torch.zeros_like(context.labels))
        none = torch.tensor([[torch.inf], [-torch.inf]])
        self.register_buffer("tau", none.repeat(1, len(context.categories)))

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        pseudo = self.pseudo[progress.indices] * (labels == 0)
        loss = partial_bce(outputs.logits, labels + pseudo)
        started = progress.epoch >= self.first_pseudo_epoch
        return StepResult({"known_and_pseudo": loss}, pseudo if started else None)

    def end_epoch(self, epoch: int, logits: Tensor) -> None:
        if epoch + 1 < self.first_pseudo_epoch:
            return
        options = self.options
        unknown = logits.masked_fill(self.labels != 0, torch.nan)
        share = positive_share(self.labels)
        found = quota_thresholds(unknown, share, options.keep_positive, options.keep_negative)
        self.tau.copy_(torch.stack([found.pos, found.neg]))
        self.pseudo.copy_(pseudo_labels(unknown, self.labels, found))

    def thresholds(self) -> dict[str, Tensor]:
        return {"tau_pos": self.tau[0], "tau_neg": self.tau[1]}
