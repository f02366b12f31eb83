"""CSL: class-aware selective loss (Ben-Baruch et al., CVPR 2022).

Unknown labels count as absent with a focusing factor of their own, save those that are likely to
be present: the highest scores of each batch, and all of a category that is frequent. Published
for labels known at random (γ₋ = 1), and for a fixed number of them per category (γ₋ = 3).

How frequent a category is, is published as a file that a first training in mode `ignore` makes.
Here one run does both: it ignores all unknown labels until the warm-up is over, and from then on
the prior is the category's mean score over the training images in the epoch before.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from satl.losses import asymmetric_terms, largest_among
from satl.methods.base import Context, Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class CSLOptions(Hyperparameters):
    """Hyperparameters of the class-aware selective loss."""

    mode: Literal["selective", "ignore", "negative"] = Field(
        "selective", description="which unknown labels are ignored: the likely ones, all, or none"
    )
    gamma_pos: float = Field(0.0, ge=0, description="γ₊, how fast easy present entries fade")
    gamma_neg: float = Field(1.0, ge=0, description="γ₋, how fast easy absent entries fade")
    gamma_unknown: float = Field(4.0, ge=0, description="γᵤ, how fast easy unknown entries fade")
    clip: float = Field(0.0, ge=0, lt=1, description="score below which an absent entry is free")
    likely: int = Field(5, ge=0, description="K, unknown labels ignored per image, on average")
    prior_threshold: float = Field(
        0.5, ge=0, le=1, description="η, prior above which a category's unknown labels are ignored"
    )
    warmup: float = Field(
        0.25, ge=0, le=1, description="selective: share of epochs that ignore all unknown labels"
    )


class CSL(Method[CSLOptions]):
    """Asymmetric loss averaged over the known entries and the unknown ones not ignored."""

    prior: Tensor

    def __init__(self, options: CSLOptions, context: Context) -> None:
        super().__init__(options, context)
        self.first_selective_epoch = context.first_epoch_after(options.warmup)
        self.register_buffer("prior", torch.zeros(len(context.categories)))

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        options = self.options
        ignored = self._ignored(outputs.logits, labels, progress.epoch)
        terms = selective_terms(
            outputs.logits, labels, ignored,
            options.gamma_pos, options.gamma_neg, options.gamma_unknown, options.clip,
        )  # fmt: skip
        counted = (~ignored).sum().clamp(min=1)
        return StepResult({"known_and_assumed": terms.sum() / counted})

    def _ignored(self, logits: Tensor, labels: Tensor, epoch: int) -> Tensor:
        options = self.options
        if options.mode == "negative":
            return torch.zeros_like(labels, dtype=torch.bool)
        if options.mode == "ignore" or epoch < self.first_selective_epoch:
            return labels == 0
        top_k = options.likely * len(labels)
        return ignored_unknown(
            logits, labels, self.prior, options.prior_threshold, top_k, options.clip
        )

    def end_epoch(self, epoch: int, logits: Tensor) -> None:
        self.prior.copy_(torch.sigmoid(logits).nanmean(0))


def ignored_unknown(
    logits: Tensor,
    labels: Tensor,
    prior: Tensor | None,
    prior_threshold: float,
    top_k: int,
    clip: float,
) -> Tensor:
    """Unknown entries that are likely to be present.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.
        prior: (C,) estimated shares of positives; None: not known, and no category is ignored.
        prior_threshold: η; where the prior exceeds it, all unknown entries are ignored.
        top_k: unknown entries of the batch, of the highest scores, that are ignored.
        clip: of the loss; scores up to it cost nothing, so that they rank alike and last.

    Returns:
        (B, C) bool.
    """
    unknown = labels == 0
    cost = (torch.sigmoid(logits.detach().float()) - clip).clamp(min=0)
    likely = largest_among(cost, unknown, top_k)
    return likely if prior is None else likely | (unknown & (prior > prior_threshold))


def selective_terms(
    logits: Tensor,
    labels: Tensor,
    ignored: Tensor,
    gamma_pos: float,
    gamma_neg: float,
    gamma_unknown: float,
    clip: float,
) -> Tensor:
    """Asymmetric loss with a γ of its own for unknown entries; 0 where `ignored`. All (B, C)."""
    known = asymmetric_terms(logits, labels, gamma_pos, gamma_neg, clip)
    unknown = asymmetric_terms(logits, labels, gamma_pos, gamma_unknown, clip)
    return torch.where(labels == 0, unknown, known).masked_fill(ignored, 0)
