"""Hill loss: absent entries of high score lose weight again (Zhang et al., arXiv 2112.07368).

Made for positives that are missing at random, without known negatives; these count as absent like
the unknown. The published loss is a sum over all entries, this one their mean.
"""

import torch
from pydantic import Field
from torch import Tensor

from satl.losses import focal_terms
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class HillOptions(Hyperparameters):
    """Hyperparameters of the Hill loss."""

    lamb: float = Field(1.5, gt=0, description="λ; absent entries weigh λ - p")
    margin: float = Field(1.0, ge=0, description="m, logits of present entries are lowered by it")
    gamma: float = Field(2.0, ge=0, description="γ, how fast easy present entries fade")


class Hill(Method[HillOptions]):
    """Hill loss averaged over all entries, the unknown ones counted as absent."""

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        options = self.options
        terms = hill_terms(outputs.logits, labels, options.lamb, options.margin, options.gamma)
        return StepResult({"known_and_assumed": terms.mean()})


def hill_terms(logits: Tensor, labels: Tensor, lamb: float, margin: float, gamma: float) -> Tensor:
    """Present: focal loss of x - m. Absent or unknown: (λ - p) p². Gradients pass through all.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.

    Returns:
        (B, C).
    """
    scores = torch.sigmoid(logits.float())
    absent = (lamb - scores) * scores.square()
    return torch.where(labels > 0, focal_terms(logits - margin, gamma), absent)
