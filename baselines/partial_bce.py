"""Partial BCE: learn from the known labels alone (Durand et al., CVPR 2019, without g(p)).

Two losses of the field bear this name, and their published numbers lie up to nine points apart:
docs/methods.md, "Two partial BCEs".
"""

from typing import Literal

from pydantic import Field
from torch import Tensor

from satl.losses import bce_terms, partial_bce
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class PartialBCEOptions(Hyperparameters):
    """Hyperparameters of partial BCE."""

    divisor: Literal["known", "categories"] = Field(
        "known",
        description="what an image's loss is divided by, on average: the number of its known "
        "labels, or of all categories",
    )


class PartialBCE(Method[PartialBCEOptions]):
    """Binary cross-entropy of the known entries, averaged over them or over all entries."""

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        if self.options.divisor == "known":
            return StepResult({"known": partial_bce(outputs.logits, labels)})
        return StepResult({"known": bce_terms(outputs.logits, labels).mean()})
