"""Partial BCE: learn from the known labels alone (Durand et al., CVPR 2019, without g(p))."""

from torch import Tensor

from satl.losses import partial_bce
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class PartialBCE(Method[Hyperparameters]):
    """Binary cross-entropy averaged over the known entries of a batch."""

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        return StepResult({"known": partial_bce(outputs.logits, labels)})
