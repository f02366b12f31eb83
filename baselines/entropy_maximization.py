"""Entropy maximisation and asymmetric pseudo-labels (Zhou et al., ECCV 2022).

The unknown labels are not guessed: their entropy is made large, so that training on the known
ones cannot decide them by the way. With `asymmetric_pseudo_labels` (EM+APL) the least likely of
them become soft negatives, a quota after each epoch, for good.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from satl.core.labels import UNKNOWN
from satl.losses import bce_terms
from satl.methods.base import Context, Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs
from satl.thresholds import kth_smallest


def entropy_terms(logits: Tensor, labels: Tensor, alpha: float) -> Tensor:
    """BCE of the known entries, -α H(p) of the unknown ones, H the binary entropy.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.
        alpha: weight of the entropy.

    Returns:
        (B, C); negative where unknown.
    """
    logits = logits.float()
    entropy = F.softplus(logits) - logits * logits.sigmoid()
    return torch.where(labels == UNKNOWN, -alpha * entropy, bce_terms(logits, labels))


def apl_terms(
    logits: Tensor, labels: Tensor, soft_negatives: Tensor, alpha: float, beta: float
) -> Tensor:
    """`entropy_terms`, but β [s·(-log p) + (1 - s)·(-log(1 - p))] where s is a soft negative.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.
        soft_negatives: (B, C), of size s where an unknown label became one, else 0.
        alpha: weight of the entropy.
        beta: weight of the soft negatives.

    Returns:
        (B, C).
    """
    soft = soft_negatives.float().abs()
    terms = F.binary_cross_entropy_with_logits(logits.float(), soft, reduction="none")
    return torch.where(soft > 0, beta * terms, entropy_terms(logits, labels, alpha))


class EntropyMaximizationOptions(Hyperparameters):
    """Hyperparameters of entropy maximisation; the defaults are the paper's for COCO."""

    alpha: float = Field(0.1, ge=0, description="α, weight of the entropy of unknown labels")
    asymmetric_pseudo_labels: bool = Field(
        False, description="whether the least likely unknown labels become soft negatives (APL)"
    )
    beta: float = Field(0.9, ge=0, description="β, weight of soft negatives (VOC: 0.02)")
    share: float = Field(
        0.9, ge=0, le=1, description="of the unknown labels that are soft negatives in the end"
    )
    warmup: float = Field(0.5, ge=0, le=1, description="share of epochs before soft negatives")


class EntropyMaximization(Method[EntropyMaximizationOptions]):
    """BCE on the known labels, maximal entropy of the unknown ones; mean over all entries."""

    labels: Tensor  # (N, C) int8
    soft_negatives: Tensor  # (N, C) s, 0 where there is none

    def __init__(self, options: EntropyMaximizationOptions, context: Context) -> None:
        super().__init__(options, context)
        self.first_pseudo_epoch = context.first_epoch_after(options.warmup)
        if options.asymmetric_pseudo_labels:
            self.register_buffer("labels", context.labels, persistent=False)
            self.register_buffer("soft_negatives", torch.zeros(context.labels.shape))

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        alpha, beta = self.options.alpha, self.options.beta
        known = labels != UNKNOWN
        if not self.options.asymmetric_pseudo_labels:
            return StepResult(_means(entropy_terms(outputs.logits, labels, alpha), known))
        soft = self.soft_negatives[progress.indices] * ~known
        losses = _means(apl_terms(outputs.logits, labels, soft, alpha, beta), known)
        started = progress.epoch >= self.first_pseudo_epoch
        return StepResult(losses, -(soft > 0).to(torch.int8) if started else None)

    def end_epoch(self, epoch: int, logits: Tensor) -> None:
        if not self.options.asymmetric_pseudo_labels or epoch + 1 < self.first_pseudo_epoch:
            return
        unknown = self.labels == UNKNOWN
        epochs = max(1, self.context.epochs - self.first_pseudo_epoch)
        wanted = (self.options.share * unknown.sum(0) / epochs).floor()
        left = logits.masked_fill(~unknown | (self.soft_negatives > 0), torch.nan)
        lowest = left <= kth_smallest(left, wanted)
        # A score that rounds to 0 would not count as one.
        scores = logits.sigmoid().clamp(min=torch.finfo(torch.float32).tiny)
        self.soft_negatives.copy_(scores.where(lowest, self.soft_negatives))


def _means(terms: Tensor, known: Tensor) -> dict[str, Tensor]:
    """The sum over known and that over unknown entries, both divided by the number of all."""
    return {
        "known": (terms * known).sum() / terms.numel(),
        "unknown": (terms * ~known).sum() / terms.numel(),
    }
