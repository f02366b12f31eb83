"""HST: heterogeneous semantic transfer (Chen et al., IJCV 2024, arXiv 2205.11131).

SST's two transfers with margins that are learned instead of scheduled, and with prototypes in
place of a bank.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from satl.config import Model
from satl.losses import partial_bce
from satl.methods.base import Context, Progress, StepResult
from satl.methods.parts.graph_method import GraphMethod, PairOptions, PrototypeOptions
from satl.methods.parts.prototypes import FeatureBank, Prototypes, occupied
from satl.methods.parts.transfer import (
    add_positive_pseudo_labels,
    inter_scores,
    intra_scores,
    pseudo_label_mask,
)
from satl.models.backbone import Backbone
from satl.models.graph_net import GraphOutputs

# Soft labels of 0 and 1 have infinite cross-entropy.
SOFTEST = 0.01


def soft_pseudo_labels(scores: Tensor, margin: Tensor | float) -> Tensor:
    """clamp(score - margin, 0, 1); a category is taken for present where this is above 0."""
    return (scores - margin).clamp(0, 1)


def margin_loss(scores: Tensor, labels: Tensor, margin: Tensor) -> Tensor:
    """Binary cross-entropy of soft pseudo-labels against known labels; it trains the margin.

    Soft labels are kept within [0.01, 0.99], and the gradient passes that clamp as if it were not
    there: the margin starts at 1, where every soft label is 0, and would otherwise never move.

    Args:
        scores: (B, C), without gradient.
        labels: (B, C), +1 / -1 / 0; only known ones count.
        margin: a tensor of one.

    Returns:
        A scalar; 0, with a gradient graph, where no label is known.
    """
    shifted = scores - margin
    soft = shifted + (shifted.clamp(SOFTEST, 1 - SOFTEST) - shifted).detach()
    right = torch.where(labels > 0, soft, 1 - soft)
    known = labels != 0
    return -(right.log() * known).sum() / known.sum().clamp(min=1)


class HSTOptions(PairOptions, PrototypeOptions):
    """Hyperparameters of HST."""

    margin: float = Field(1.0, ge=0, le=1, description="start of both margins, which are learned")
    margin_weight: float = Field(0.1, ge=0, description="weight of the losses that train them")
    prototype_weight: float = Field(0.05, ge=0, description="weight of prototype contrast")
    prototype_term: Literal["paper", "published"] = Field(
        "paper", description="1 - y cos draws positives to prototypes; published: 1 + y cos"
    )


class HST(GraphMethod[HSTOptions]):
    """Partial BCE, pair and contrastive losses; later BCE on transferred labels of both kinds.

    The published code's prototype term, mean(1 + y cos), pushes positives away from their
    prototypes; the paper's sense, 1 - y cos, is the default (`prototype_term`).
    """

    pairs = True

    def __init__(self, options: HSTOptions, context: Context) -> None:
        super().__init__(options, context)
        self.margins = nn.Parameter(torch.full((2,), options.margin))

    def build_model(self, backbone: Backbone, word_embeddings: Tensor, model: Model) -> nn.Module:
        bank = FeatureBank(len(word_embeddings), self.options.bank_size, model.feature_dim)
        period = max(1, self.context.first_epoch_after(self.options.renewal))
        self.prototypes = Prototypes(bank, self.options.prototypes, self.first_epoch, period)
        return super().build_model(backbone, word_embeddings, model)

    def step(self, outputs: GraphOutputs, labels: Tensor, progress: Progress) -> StepResult:
        losses = self.known_losses(outputs, labels, progress)
        self.prototypes.update(
            outputs.features, labels, progress.epoch, progress.step, progress.generator
        )
        if progress.epoch < self.first_epoch:
            return StepResult(losses)
        with torch.no_grad():
            self.margins.clamp_(0, 1)
        cosines = inter_scores(outputs.features, self.prototypes.centres)
        losses["prototypes"] = self.options.prototype_weight * self._contrast(cosines, labels)
        filled, trained = [], []
        pairs = intra_scores(outputs.pair_logits.detach(), labels)
        for scores, margin in zip((pairs, cosines.detach()), self.margins, strict=True):
            found = soft_pseudo_labels(scores, margin.detach()) > 0
            filled.append(add_positive_pseudo_labels(found, labels))
            trained.append(margin_loss(scores, labels, margin))
        losses["margins"] = self.options.margin_weight * (trained[0] + trained[1])
        for name, targets in zip(("intra", "inter"), filled, strict=True):
            losses[name] = partial_bce(outputs.logits, targets)
        return StepResult(losses, pseudo_label_mask(*filled, labels=labels))

    def _contrast(self, cosines: Tensor, labels: Tensor) -> Tensor:
        """Mean of 1 - y cos over known labels of categories that have prototypes."""
        counted = (labels != 0) & occupied(self.prototypes.centres).any(1)
        sense = -1 if self.options.prototype_term == "paper" else 1
        terms = (1 + sense * labels * cosines) * counted
        return terms.sum() / counted.sum().clamp(min=1)
