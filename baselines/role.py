"""ROLE: regularised online label estimation (Cole et al., CVPR 2021).

Beside the network there is a second player, a matrix of one logit per training image and category
that is trained along: each is to agree with the known labels, with the other, and with the number
of positives that an image has. Made for one positive label an image and no negative one; a known
negative counts here as one that is known.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from satl.losses import bce_terms
from satl.methods.base import (
    Context,
    Hyperparameters,
    Method,
    ParameterGroup,
    Progress,
    StepResult,
)
from satl.methods.parts.expected_positives import expected_positive_penalty, expected_positives
from satl.models.outputs import Outputs

START_KNOWN, START_UNKNOWN = 0.995, 0.6  # scores; the unknown start between this and one less it


def role_losses(
    logits: Tensor, estimated_logits: Tensor, labels: Tensor, expected: float
) -> dict[str, Tensor]:
    """The parts of `role_loss` by name: scalars whose sum it is."""
    entries = logits.numel()
    players = (logits.float(), estimated_logits.float())
    known = sum(bce_terms(x, labels).sum() for x in players)
    agreement = sum(
        F.binary_cross_entropy_with_logits(x, other.sigmoid().detach(), reduction="sum")
        for x, other in (players, players[::-1])
    )
    penalty = sum(expected_positive_penalty(x, expected) for x in players)
    return {
        "known": known / (2 * entries),
        "agreement": agreement / (2 * entries),
        "expected_positives": penalty / 2,
    }


def role_loss(logits: Tensor, estimated_logits: Tensor, labels: Tensor, expected: float) -> Tensor:
    """½ [BCE(x, y) + BCE(θ, y) + BCE(x, σ(θ)) + BCE(θ, σ(x))] / (B·C) + ½ [R(x) + R(θ)].

    BCE with labels counts the known ones; the targets σ carry no gradient; R is
    `expected_positive_penalty`.

    Args:
        logits: x, (B, C).
        estimated_logits: θ of these images, (B, C).
        labels: y, (B, C), +1 / -1 / 0.
        expected: the number of positives per image.

    Returns:
        A scalar.
    """
    return torch.stack([*role_losses(logits, estimated_logits, labels, expected).values()]).sum()


class ROLEOptions(Hyperparameters):
    """Hyperparameters of ROLE."""

    expected: float | None = Field(
        None,
        gt=0,
        description="positives per image; none: the sum over the categories of the share of "
        "positives among their known labels (the published work takes it from full labels)",
    )
    estimate_rate: float = Field(
        10.0, gt=0, description="learning rate of the estimates, as a multiple of the network's"
    )


class ROLE(Method[ROLEOptions]):
    """A network and a matrix of estimated labels that teach each other.

    The estimates are trained without weight decay: Adam would draw those of images that are not in
    a batch to 0, at full speed.
    """

    def __init__(self, options: ROLEOptions, context: Context) -> None:
        super().__init__(options, context)
        self.expected = options.expected or expected_positives(context.labels)
        self.estimates = nn.Parameter(_start(context.labels))

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup((self.estimates,), self.options.estimate_rate, weight_decay=False)]

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        estimated = self.estimates[progress.indices]
        return StepResult(role_losses(outputs.logits, estimated, labels, self.expected))


def _start(labels: Tensor) -> Tensor:
    """(N, C) logits: those of certain scores for the known `labels`, others drawn evenly."""
    certain, undecided = torch.logit(torch.tensor([START_KNOWN, START_UNKNOWN]))
    # A stream of its own, so that the network starts as it does for other methods.
    generator = torch.Generator().manual_seed(torch.initial_seed())
    drawn = 2 * torch.rand(labels.shape, generator=generator) - 1
    return torch.where(labels == 0, undecided * drawn, certain * labels)
