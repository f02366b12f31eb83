"""What large loss and BoostLU share: unknown entries of large loss are taken for present."""

import math
from typing import Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from satl.core.labels import POSITIVE
from satl.losses import absent_filled, bce_terms, largest_among
from satl.methods.base import Context, Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs

Scheme = Literal["reject", "correct", "correct_permanently"]


class LargeLossOptions(Hyperparameters):
    """Hyperparameters of methods that mend large losses."""

    scheme: Scheme = Field(
        "reject", description="hidden positives are left out, made present, or made so for good"
    )
    delta: float = Field(
        0.002, ge=0, le=1,
        description="Δ, share of a batch by which hidden positives grow in number each epoch; for "
        "correct_permanently, their share from the second epoch on",
    )  # fmt: skip


LargeLossOptionsT = TypeVar("LargeLossOptionsT", bound=LargeLossOptions)


class LargeLossMethod(Method[LargeLossOptionsT]):
    """Base of methods that train on BCE with unknown labels absent, save those of large loss."""

    made_present: Tensor

    def __init__(self, options: LargeLossOptionsT, context: Context) -> None:
        super().__init__(options, context)
        never = torch.zeros_like(context.labels, dtype=torch.bool)
        self.register_buffer("made_present", never)  # (N, C), for good

    def share(self, epoch: int) -> float:
        """The share of a batch's entries that are hidden positives, in an epoch from 0."""
        if self.options.scheme == "correct_permanently":
            return self.options.delta if epoch else 0.0
        return min(1.0, epoch * self.options.delta)

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        scheme, share = self.options.scheme, self.share(progress.epoch)
        made_present = self.made_present[progress.indices] & (labels == 0)
        targets = labels.masked_fill(made_present, POSITIVE)
        terms = large_loss_terms(outputs.logits, targets, share, scheme)
        losses = {"known_and_assumed": terms.mean()}
        if scheme == "reject":
            return StepResult(losses)
        corrected = hidden_positives(outputs.logits, targets, share)
        if scheme == "correct_permanently":
            now = all_but_smallest(corrected, outputs.logits)
            self.made_present[progress.indices] = made_present | now
        return StepResult(losses, (made_present | corrected).to(torch.int8))


def hidden_positives(logits: Tensor, labels: Tensor, share: float) -> Tensor:
    """The ⌈B·C·share⌉ unknown entries whose loss as absent is largest; all, if they are fewer.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.
        share: r.

    Returns:
        (B, C) bool.
    """
    # The loss of an absent entry grows with its logit.
    return largest_among(logits.detach().float(), labels == 0, math.ceil(labels.numel() * share))


def all_but_smallest(chosen: Tensor, logits: Tensor) -> Tensor:
    """(B, C) bool: the `chosen` entries with a loss above the smallest of theirs."""
    logits = logits.detach().float()
    return chosen & (logits > logits.masked_fill(~chosen, torch.inf).amin())


def large_loss_terms(logits: Tensor, labels: Tensor, share: float, scheme: Scheme) -> Tensor:
    """BCE with unknown entries absent, save hidden positives (Kim et al., CVPR 2022).

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.
        share: r, of the batch's entries that are taken for hidden positives.
        scheme: `reject` gives these the loss 0, the others the loss of present entries.

    Returns:
        (B, C); the loss is their mean, entries of loss 0 included.
    """
    hidden = hidden_positives(logits, labels, share)
    terms = bce_terms(logits, absent_filled(labels))
    if scheme == "reject":
        return terms.masked_fill(hidden, 0)
    return torch.where(hidden, bce_terms(logits, torch.ones_like(labels)), terms)
