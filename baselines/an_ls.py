"""AN-LS: assume negative, with label smoothing (Cole et al., CVPR 2021).

Made for one positive per image and no known negatives; here a label known to be absent counts like
an unknown one. Published logarithms are of p + 1e-5, ours are exact.
"""

from pydantic import Field
from torch import Tensor

from satl.losses import absent_filled, bce_terms
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class ANLSOptions(Hyperparameters):
    """Hyperparameters of AN-LS."""

    smoothing: float = Field(0.1, ge=0, lt=0.5, description="ε; targets are 1 - ε and ε")


class ANLS(Method[ANLSOptions]):
    """Smoothed BCE averaged over all entries, the unknown ones counted as absent."""

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        terms = smoothed_terms(outputs.logits, labels, self.options.smoothing)
        return StepResult({"known_and_assumed": terms.mean()})


def smoothed_terms(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """BCE against 1 - ε where present, ε where absent or unknown.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.
        smoothing: ε.

    Returns:
        (B, C).
    """
    return bce_terms(logits, absent_filled(labels) * (1 - smoothing))
