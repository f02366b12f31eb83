"""DSRB: dual-perspective semantic-aware representation blending (ESWA 2024).

SARB on feature maps: instances are blended before the sum over positions, and a prototype is a
mean map of the known positives whose attention peaks in the same quadrant of the image.
The published script does not run (undefined names); this reading follows its model file.

The category feature is a sum over positions, and blending maps is linear. Blending maps and then
summing therefore gives exactly what blending the sums gives, and the sum of a mean map is the
mean of the sums: no (B, C, D, H, W) tensor is needed. tests/methods/test_dsrb.py shows both.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from satl.config import Model
from satl.core.labels import UNKNOWN
from satl.methods.base import Progress
from satl.methods.parts.blending_method import BlendingMethod, BlendingOptions
from satl.methods.parts.prototypes import occupied, renewal_due
from satl.models.backbone import Backbone
from satl.models.graph_net import GraphOutputs

QUADRANTS = 4


def quadrant(attention: Tensor) -> Tensor:
    """(B, C, H, W) attention to the (B, C) quadrant of its peak: 0, 1 above, 2, 3 below."""
    height, width = attention.shape[2:]
    peak = attention.flatten(2).argmax(2)
    below, right = 2 * (peak // width) >= height, 2 * (peak % width) >= width
    return 2 * below.long() + right.long()


class DSRBOptions(BlendingOptions):
    """Hyperparameters of DSRB."""

    top: int = Field(1, ge=1, description="unknown categories per image that get a prototype")
    renewal: float = Field(
        0.25, gt=0, le=1, description="share of epochs from one renewal of prototypes to the next"
    )


class DSRB(BlendingMethod[DSRBOptions]):
    """Blends with the reversed batch, and with the mean maps of quadrants.

    In each image the unknown categories of highest score take the prototype of the quadrant in
    which their attention peaks. Prototypes are means over the known positives that training saw
    since the last renewal.
    """

    sums: Tensor
    counts: Tensor
    prototypes: Tensor

    def build_model(self, backbone: Backbone, word_embeddings: Tensor, model: Model) -> nn.Module:
        shape = (len(word_embeddings), QUADRANTS)
        self.period = max(1, self.context.first_epoch_after(self.options.renewal))
        self.register_buffer("sums", torch.zeros(*shape, model.feature_dim))
        self.register_buffer("counts", torch.zeros(shape))
        self.register_buffer("prototypes", torch.zeros(*shape, model.feature_dim))
        return super().build_model(backbone, word_embeddings, model)

    @torch.no_grad()
    def remember(self, outputs: GraphOutputs, labels: Tensor, progress: Progress) -> None:
        where = F.one_hot(quadrant(outputs.attention), QUADRANTS) * (labels > 0).unsqueeze(2)
        where = where.to(self.sums.dtype)
        self.sums += torch.einsum("bcq,bcd->cqd", where, outputs.features.float())
        self.counts += where.sum(0)
        if progress.step == 0 and renewal_due(progress.epoch, self.first_epoch, self.period):
            means = self.sums / self.counts.clamp(min=1).unsqueeze(2)
            # A quadrant without positives since the last renewal keeps its prototype.
            self.prototypes = torch.where(self.counts.unsqueeze(2) > 0, means, self.prototypes)
            self.sums.zero_()
            self.counts.zero_()

    def choose_prototypes(
        self, outputs: GraphOutputs, labels: Tensor, progress: Progress
    ) -> tuple[Tensor, Tensor]:
        rows = torch.arange(labels.shape[1], device=labels.device)
        others = self.prototypes[rows, quadrant(outputs.attention)]
        eligible = (labels == UNKNOWN) & occupied(others)
        scores = outputs.logits.detach().masked_fill(~eligible, -torch.inf)
        best = scores.topk(min(self.options.top, labels.shape[1]), dim=1).indices
        chosen = torch.zeros_like(eligible).scatter(1, best, True)
        return others, chosen & eligible
