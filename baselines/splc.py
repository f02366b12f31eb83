"""SPLC: self-paced loss correction (Zhang et al., arXiv 2112.07368).

A focal loss with unknown labels counted as absent, where those of high score turn present. Made
for positives that are missing at random, without known negatives. The published code takes every
label that is not positive for a missing one, and so would overrule a label known to be absent;
here known labels stand (`correct_known: true`: as published). The published loss is a sum over
all entries, this one their mean.
"""

import torch
from pydantic import Field
from torch import Tensor

from satl.losses import focal_terms
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class SPLCOptions(Hyperparameters):
    """Hyperparameters of self-paced loss correction."""

    tau: float = Field(0.6, gt=0, lt=1, description="τ, score above which a label turns present")
    margin: float = Field(1.0, ge=0, description="m, logits of present entries are lowered by it")
    gamma: float = Field(2.0, ge=0, description="γ, how fast easy entries fade")
    change_epoch: int = Field(1, ge=0, description="epochs before labels turn present")
    correct_known: bool = Field(
        False, description="labels known to be absent turn present, too, as published"
    )


class SPLC(Method[SPLCOptions]):
    """Focal loss averaged over all entries; unknown ones are absent until they score high."""

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        options, unknown = self.options, labels == 0
        started = progress.epoch >= options.change_epoch
        correct = (unknown | options.correct_known) & started
        terms = splc_terms(
            outputs.logits, labels, correct, options.tau, options.margin, options.gamma
        )
        losses = {"known_and_assumed": terms.mean()}
        if not started:
            return StepResult(losses)
        turned = turn_present(outputs.logits, labels, options.tau) & unknown
        return StepResult(losses, turned.to(torch.int8))


def turn_present(logits: Tensor, labels: Tensor, tau: float) -> Tensor:
    """(B, C) bool: the entries not known to be present whose score exceeds τ."""
    return (labels <= 0) & (torch.sigmoid(logits.detach().float()) > tau)


def splc_terms(
    logits: Tensor,
    labels: Tensor,
    correct: bool | Tensor,
    tau: float,
    margin: float,
    gamma: float,
) -> Tensor:
    """Focal loss of x - m where known present, of x where turned present, of -x elsewhere.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.
        correct: where entries may turn present: everywhere, nowhere, or (B, C) bool.
        tau: score above which they do.

    Returns:
        (B, C).
    """
    logits = logits.float()
    turned = turn_present(logits, labels, tau) & correct
    absent_or_turned = torch.where(turned, logits, -logits)
    return focal_terms(torch.where(labels > 0, logits - margin, absent_or_turned), gamma)
