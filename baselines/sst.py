"""SST: structured semantic transfer (Chen et al., AAAI 2022).

An unknown label becomes positive where the pair head finds the category likely beside the image's
known positives (intra-image), or where its feature is near those of other images in which the
category is known to be present (inter-image).
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from satl.config import Model
from satl.losses import partial_bce
from satl.methods.base import Progress, StepResult
from satl.methods.parts.graph_method import GraphMethod, PairOptions
from satl.methods.parts.prototypes import FeatureBank, occupied
from satl.methods.parts.transfer import (
    add_positive_pseudo_labels,
    inter_scores,
    intra_scores,
    pseudo_label_mask,
)
from satl.models.backbone import Backbone
from satl.models.graph_net import GraphOutputs


def intra_pseudo_labels(pair_logits: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Labels with unknown categories made positive that go with the image's known positives.

    Args:
        pair_logits: (B, C(C-1)/2), in the order (0,1), (0,2), … (1,2), …
        labels: (B, C), +1 / -1 / 0.
        margin: least mean probability, over the known positives, to be together with them.

    Returns:
        (B, C), dtype of `labels`; an image without known positives stays as it is.
    """
    some = (labels > 0).any(1, keepdim=True)
    return add_positive_pseudo_labels((intra_scores(pair_logits, labels) >= margin) & some, labels)


def inter_pseudo_labels(features: Tensor, bank: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Labels with unknown categories made positive whose features are near the category's bank.

    Args:
        features: (B, C, D).
        bank: (C, K, D) features of known positives; slots of zeros are empty.
        labels: (B, C), +1 / -1 / 0.
        margin: least mean cosine with the bank.

    Returns:
        (B, C), dtype of `labels`; a category with an empty bank stays as it is.
    """
    some = occupied(bank).any(1)
    return add_positive_pseudo_labels((inter_scores(features, bank) >= margin) & some, labels)


class SSTOptions(PairOptions):
    """Hyperparameters of SST."""

    margin: float = Field(0.95, ge=0, le=1, description="of the first pseudo-labels")
    last_margin: float = Field(0.75, ge=0, le=1, description="least margin")
    margin_step: float = Field(
        0.025, ge=0, description="how much it falls in a twentieth of the epochs"
    )
    bank_size: int = Field(100, ge=1, description="newest positives per category to compare with")


class SST(GraphMethod[SSTOptions]):
    """Partial BCE, pair and contrastive losses; later BCE on intra- and inter-image labels.

    The published margin falls by 0.025 an epoch, of 20; here in each twentieth of the epochs.
    """

    pairs = True

    def build_model(self, backbone: Backbone, word_embeddings: Tensor, model: Model) -> nn.Module:
        self.bank = FeatureBank(len(word_embeddings), self.options.bank_size, model.feature_dim)
        return super().build_model(backbone, word_embeddings, model)

    def margin(self, epoch: int) -> float:
        """The margin in an epoch (from 0) with pseudo-labels."""
        twentieths = (epoch - self.first_epoch) * 20 / self.context.epochs
        falling = self.options.margin - self.options.margin_step * twentieths
        return max(min(self.options.last_margin, self.options.margin), falling)

    def step(self, outputs: GraphOutputs, labels: Tensor, progress: Progress) -> StepResult:
        losses = self.known_losses(outputs, labels, progress)
        self.bank.add(outputs.features, labels)
        if progress.epoch < self.first_epoch:
            return StepResult(losses)
        margin = self.margin(progress.epoch)
        with torch.no_grad():
            intra = intra_pseudo_labels(outputs.pair_logits, labels, margin)
            inter = inter_pseudo_labels(outputs.features, self.bank.features, labels, margin)
        losses["intra"] = partial_bce(outputs.logits, intra)
        losses["inter"] = partial_bce(outputs.logits, inter)
        return StepResult(losses, pseudo_label_mask(intra, inter, labels=labels))
