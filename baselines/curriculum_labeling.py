"""Curriculum labeling: pseudo-labels by the last epoch's logits (Durand et al., CVPR 2019).

Whatever was unknown and is certain enough at the end of an epoch takes the sign of its logit for
the next one. Three of the paper's ways to tell what is certain are here; its strategies that
compare several predictions of one image (consistency, uncertainty) are not, as our source does
not say how many predictions they take or when these agree. Neither is its graph network.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from satl.losses import bce_terms
from satl.methods.base import Context, Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class CurriculumLabelingOptions(Hyperparameters):
    """Hyperparameters of curriculum labeling."""

    strategy: Literal["logit_threshold", "score_threshold", "score_proportion"] = Field(
        "logit_threshold", description="which unknown entries are certain enough"
    )
    threshold: float = Field(2.0, ge=0, description="logit_threshold: certain if |x| exceeds it")
    score: float = Field(
        0.9, ge=0.5, lt=1, description="score_threshold: certain if σ(|x|) exceeds it"
    )
    proportion: float = Field(
        0.5, ge=0, le=1, description="score_proportion: share of the unknown with the largest |x|"
    )
    warmup: float = Field(0.25, ge=0, le=1, description="share of epochs before pseudo-labels")
    alpha: float = Field(-4.45, description="α of the normalisation g(p) = α p^γ + β")
    beta: float = Field(5.45, description="β of g(p)")
    gamma: float = Field(1.0, gt=0, description="γ of g(p)")


class CurriculumLabeling(Method[CurriculumLabelingOptions]):
    """Normalised partial BCE on known labels and on pseudo-labels that each epoch replaces."""

    pseudo: Tensor
    unknown: Tensor

    def __init__(self, options: CurriculumLabelingOptions, context: Context) -> None:
        super().__init__(options, context)
        self.first_pseudo_epoch = context.first_epoch_after(options.warmup)
        self.register_buffer("pseudo", torch.zeros_like(context.labels))  # (N, C) int8
        self.register_buffer("unknown", context.labels == 0, persistent=False)

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        pseudo = self.pseudo[progress.indices] * (labels == 0)
        # p counts pseudo-labels as known: otherwise filling an image in would raise its loss
        # up to fivefold over that of an image that came fully labelled.
        options = self.options
        loss = normalised_bce(
            outputs.logits, labels + pseudo, options.alpha, options.beta, options.gamma
        )
        started = progress.epoch >= self.first_pseudo_epoch
        return StepResult({"known_and_pseudo": loss}, pseudo if started else None)

    def end_epoch(self, epoch: int, logits: Tensor) -> None:
        if epoch + 1 < self.first_pseudo_epoch:
            return
        # Images not seen in this epoch have NaN here and lose the pseudo-labels they had.
        seen = self.unknown & ~logits.isnan()
        certain = self._certain(logits.nan_to_num(), seen)
        self.pseudo.copy_(logits.nan_to_num().sign() * certain)

    def _certain(self, logits: Tensor, seen: Tensor) -> Tensor:
        """(N, C) bool: which of the unknown entries `seen` the strategy takes."""
        size = logits.abs()
        if self.options.strategy == "score_proportion":
            return largest(size, seen, self.options.proportion)
        return seen & (size > self._threshold())

    def _threshold(self) -> float:
        if self.options.strategy == "score_threshold":
            return torch.logit(torch.tensor(self.options.score, dtype=torch.float64)).item()
        return self.options.threshold

    def thresholds(self) -> dict[str, Tensor]:
        if self.options.strategy == "score_proportion":
            return {}
        tau = torch.full((len(self.context.categories),), self._threshold())
        return {"tau_pos": tau, "tau_neg": -tau}


def largest(size: Tensor, among: Tensor, proportion: float) -> Tensor:
    """The `proportion` (rounded down) of the entries `among` whose `size` is largest.

    Args:
        size: non-negative numbers, any shape.
        among: bool, same shape.
        proportion: in [0, 1].

    Returns:
        Bool, same shape; of entries of equal size some may be in and some not.
    """
    chosen = torch.zeros_like(among)
    count = int(proportion * int(among.sum()))
    order = torch.where(among, size, -1.0).flatten().topk(count).indices
    chosen.view(-1)[order] = True
    return chosen


def normalised_bce(
    logits: Tensor, labels: Tensor, alpha: float = -4.45, beta: float = 5.45, gamma: float = 1.0
) -> Tensor:
    """Partial BCE with g(p) = α p^γ + β, p the known share of each image (the paper's partial BCE).

    g is 1 for a fully labelled image and grows as labels get fewer, so that sparsely labelled
    images do not fade from the mean over all C entries.

    Args:
        logits: (B, C).
        labels: (B, C), +1 / -1 / 0.

    Returns:
        Mean over images of g(p)/C times the sum of BCE over the known entries; 0, with a
        gradient graph, where all is unknown.
    """
    known_share = (labels != 0).float().mean(1)
    weight = alpha * known_share.pow(gamma) + beta
    return (weight * bce_terms(logits, labels).mean(1)).mean()
