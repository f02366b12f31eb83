"""GR loss: generalised robust loss (Chen et al., IJCAI 2024).

BCE on the known labels. An unknown one has a robust loss as if present, and another as if absent,
mixed by k, the belief that it is a hidden positive, and weighted by v, which tells how much to
trust it; both depend on its score, and change over the epochs. Made for one positive per image.
"""

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat
from torch import Tensor

from satl.losses import bce_terms
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs

StartAndEnd = tuple[float, float]


class GRLossOptions(Hyperparameters):
    """Hyperparameters of the GR loss; pairs are values of first and last epoch."""

    q2: float = Field(0.01, gt=0, description="q₂, robustness as if present; towards 0: BCE")
    q3: float = Field(1.0, gt=0, description="q₃, robustness as if absent; 1: mean absolute error")
    slope: StartAndEnd = Field((0.0, 2.0), description="w in k = σ(w p + b)")
    offset: StartAndEnd = Field((-2.0, -2.0), description="b in k = σ(w p + b)")
    centre: StartAndEnd = Field((0.5, 0.8), description="μ in v = exp(-½((p - μ)/s)²)")
    width: tuple[PositiveFloat, PositiveFloat] = Field((2.0, 0.5), description="s in v")


class GRLoss(Method[GRLossOptions]):
    """BCE of known and robust loss of unknown entries, averaged over all."""

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        options = self.options
        k, v = self._belief_and_weight(outputs.logits, progress.epoch)
        terms = gr_terms(outputs.logits, labels, k, v, options.q2, options.q3)
        known, count = labels != 0, labels.numel()
        return StepResult(
            {"known": (terms * known).sum() / count, "unknown": (terms * ~known).sum() / count}
        )

    def _belief_and_weight(self, logits: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        options = self.options
        done = epoch / max(1, self.context.epochs - 1)
        slope, offset, centre, width = (
            start + done * (end - start)
            for start, end in (options.slope, options.offset, options.centre, options.width)
        )
        scores = torch.sigmoid(logits.detach())
        belief = torch.sigmoid(slope * scores + offset)
        return belief, torch.exp(-(((scores - centre) / width).square()) / 2)


def gr_terms(logits: Tensor, labels: Tensor, k: Tensor, v: Tensor, q2: float, q3: float) -> Tensor:
    """Known: BCE. Unknown: v [k (1 - p^q₂)/q₂ + (1 - k) (1 - (1 - p)^q₃)/q₃].

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.
        k: (B, C) belief that an unknown entry is present.
        v: (B, C) weights of unknown entries.
        q2, q3: of the losses as if present and as if absent.

    Returns:
        (B, C).
    """
    unknown = v * (k * _robust(logits, q2) + (1 - k) * _robust(-logits, q3))
    return torch.where(labels == 0, unknown, bce_terms(logits, labels))


def _robust(logits: Tensor, q: float) -> Tensor:
    """(1 - p^q)/q with p = σ(x)."""
    return -torch.expm1(q * F.logsigmoid(logits.float())) / q
