"""SARB: semantic-aware representation blending (Pu et al., AAAI 2022).

Unknown labels are complemented by making positives of them: features of a category that is known
to be present elsewhere are blended in, from another image of the batch or from a prototype.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from satl.config import Model
from satl.core.labels import UNKNOWN
from satl.methods.base import Progress
from satl.methods.parts.blending import blend_instances
from satl.methods.parts.blending_method import BlendingMethod, BlendingOptions
from satl.methods.parts.graph_method import PrototypeOptions
from satl.methods.parts.prototypes import FeatureBank, Prototypes, occupied
from satl.models.backbone import Backbone
from satl.models.graph_net import GraphOutputs

__all__ = ["SARB", "SARBOptions", "blend_instances", "one_unknown"]


class SARBOptions(BlendingOptions, PrototypeOptions):
    """Hyperparameters of SARB."""


class SARB(BlendingMethod[SARBOptions]):
    """Blends with the reversed batch, and with one k-means prototype per image.

    As published, one centre index is drawn per batch, and one unknown category per image. An
    image without an unknown category is left alone, where the published code overwrites its
    category 0. Prototypes are centres of the newest `bank_size` features per category of known
    positives that training has seen, not of all those in the training set.
    """

    def build_model(self, backbone: Backbone, word_embeddings: Tensor, model: Model) -> nn.Module:
        bank = FeatureBank(len(word_embeddings), self.options.bank_size, model.feature_dim)
        period = max(1, self.context.first_epoch_after(self.options.renewal))
        self.prototypes = Prototypes(bank, self.options.prototypes, self.first_epoch, period)
        return super().build_model(backbone, word_embeddings, model)

    def remember(self, outputs: GraphOutputs, labels: Tensor, progress: Progress) -> None:
        self.prototypes.update(
            outputs.features, labels, progress.epoch, progress.step, progress.generator
        )

    def choose_prototypes(
        self, outputs: GraphOutputs, labels: Tensor, progress: Progress
    ) -> tuple[Tensor, Tensor]:
        centres = self.prototypes.centres
        count = occupied(centres).sum(1)
        drawn = torch.randint(
            centres.shape[1], (), generator=progress.generator, device=labels.device
        )
        # A category with fewer centres than the index says takes the remainder.
        index = drawn % count.clamp(min=1)
        rows = torch.arange(len(centres), device=labels.device)
        chosen = one_unknown(labels, count > 0, progress.generator)
        return centres[rows, index].expand_as(outputs.features), chosen


def one_unknown(labels: Tensor, allowed: Tensor, generator: torch.Generator) -> Tensor:
    """(B, C) mask of one unknown category per image, drawn evenly among the `allowed` (C,)."""
    eligible = (labels == UNKNOWN) & allowed
    draws = torch.rand(labels.shape, generator=generator, device=labels.device)
    drawn = draws.masked_fill(~eligible, -1).argmax(1)
    return F.one_hot(drawn, labels.shape[1]).bool() & eligible
