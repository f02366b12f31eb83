"""Partial ASL: asymmetric loss on the known labels alone (Ben-Baruch et al., CVPR 2022).

It is `csl` with `mode: ignore`, and the first of that paper's two trainings. Published for labels
known at random with γ₋ = 1, for a fixed number of them per category with γ₋ = 3.
"""

from pydantic import Field
from torch import Tensor

from satl.losses import asymmetric_terms
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class PartialASLOptions(Hyperparameters):
    """Hyperparameters of partial ASL."""

    gamma_pos: float = Field(0.0, ge=0, description="γ₊, how fast easy present entries fade")
    gamma_neg: float = Field(1.0, ge=0, description="γ₋, how fast easy absent entries fade")
    clip: float = Field(0.0, ge=0, lt=1, description="score below which an absent entry is free")


class PartialASL(Method[PartialASLOptions]):
    """Asymmetric loss averaged over the known entries."""

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        options, known = self.options, labels != 0
        terms = asymmetric_terms(
            outputs.logits, labels, options.gamma_pos, options.gamma_neg, options.clip
        )
        return StepResult({"known": (terms * known).sum() / known.sum().clamp(min=1)})
