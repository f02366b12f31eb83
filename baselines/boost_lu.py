"""BoostLU: class maps whose positive values are boosted, with large loss (Kim et al., CVPR 2023).

In the paper, a logit is the mean over positions of the category's class map, with the map's
positive values multiplied by α first. On our trunk the logit is

    x_c = Σ_p a_pc (w_c · f_p) + b_c

with the attention a, which sums to 1 over positions p, the features f and the classifier w, b: a
weighted mean of class maps w_c · f_p. Their positive values are multiplied by α, in training and
prediction, and with α = 1 the network is the trunk. Made for one positive per image, and for labels
that are really partial.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from satl.config import Model
from satl.methods.parts.large_loss import LargeLossMethod, LargeLossOptions
from satl.models.backbone import Backbone
from satl.models.decoupling_net import SemanticDecouplingNet
from satl.models.outputs import Outputs


class BoostLUOptions(LargeLossOptions):
    """Hyperparameters of BoostLU, beside those of large loss."""

    alpha: float = Field(5.0, gt=0, description="α, positive values of class maps grow by it")


class BoostLU(LargeLossMethod[BoostLUOptions]):
    """Large loss on logits of boosted class maps."""

    def build_model(self, backbone: Backbone, word_embeddings: Tensor, model: Model) -> nn.Module:
        return BoostedNet(
            backbone, word_embeddings, model.feature_dim, model.attention_dim, self.options.alpha
        )


class BoostedNet(SemanticDecouplingNet):
    """The trunk with boosted class maps.

    Boosting a position's map value is the same as multiplying its attention, so that features and
    logits keep their relation: logits are the classifier's of the features.
    """

    def __init__(
        self,
        backbone: Backbone,
        word_embeddings: Tensor,
        feature_dim: int,
        attention_dim: int,
        alpha: float,
    ) -> None:
        super().__init__(backbone, word_embeddings, feature_dim, attention_dim)
        self.alpha = alpha

    def forward(self, feature_maps: Tensor) -> Outputs:
        """(B, channels, H, W) feature maps of the frozen stages to Outputs."""
        projected = self.project(self.last_stage(feature_maps))
        positions = projected.flatten(2).transpose(1, 2)
        attention = self.decoupling.attention(positions, self.word_embeddings)
        weights = attention * boost(positions @ self.classifier.weight.T, self.alpha)
        features = weights.transpose(1, 2).to(positions.dtype) @ positions
        return Outputs(self.classifier(features), features, self.classifier)


def boost(class_maps: Tensor, alpha: float) -> Tensor:
    """α where a class map is positive, else 1; carries no gradient."""
    return torch.where(class_maps > 0, alpha, 1.0)
