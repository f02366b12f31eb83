"""Assume negative: every unknown label is taken for absent."""

from torch import Tensor

from satl.losses import absent_filled, partial_bce
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class AssumeNegative(Method[Hyperparameters]):
    """Binary cross-entropy over all entries, the unknown ones counted as negative.

    The assumption is the method, not a pseudo-label that it makes: none are reported.
    """

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        return StepResult({"known": partial_bce(outputs.logits, absent_filled(labels))})
