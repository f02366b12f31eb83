"""Balanced BCE: a control that weighs the two labels of a category alike, without pseudo-labels.

SATL's ranking loss, too, gives the few known positives of a category as much weight as its many
known negatives. This control has that balance and nothing else of it; what SATL gains beyond it
is owed to more than balance.
"""

from pydantic import Field
from torch import Tensor

from satl.losses import bce_terms, partial_bce
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class BalancedBCEOptions(Hyperparameters):
    """Hyperparameters of balanced BCE."""

    weight: float = Field(1.0, ge=0, description="weight of the balanced term; 0: partial BCE")


class BalancedBCE(Method[BalancedBCEOptions]):
    """Partial BCE plus the same once more, balanced within each category."""

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        balanced = self.options.weight * balanced_loss(outputs.logits, labels)
        return StepResult({"known": partial_bce(outputs.logits, labels), "balanced": balanced})


def balanced_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over categories of ½ · mean BCE of known positives + ½ · mean BCE of known negatives.

    A category counts if the batch has a known positive and a known negative of it.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.

    Returns:
        A scalar; 0, with a gradient graph, where no category counts.
    """
    terms = bce_terms(logits, labels)
    positive, negative = (labels > 0).float(), (labels < 0).float()
    n_positive, n_negative = positive.sum(0), negative.sum(0)
    halves = (terms * positive).sum(0) / n_positive.clamp(min=1)
    halves = halves + (terms * negative).sum(0) / n_negative.clamp(min=1)
    both = ((n_positive > 0) & (n_negative > 0)).float()
    return (halves / 2 * both).sum() / both.sum().clamp(min=1)
