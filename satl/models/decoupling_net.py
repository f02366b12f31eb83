"""The network of SATL and the plain baselines: feature maps to category features to logits."""

import copy

import torch
from torch import Tensor, nn

from satl.models.backbone import Backbone
from satl.models.decoupling import SemanticDecoupling
from satl.models.outputs import Outputs
from satl.models.pointwise import PointwiseConv2d


class PerCategoryLinear(nn.Module):
    """One linear classifier for each category, on that category's own feature."""

    def __init__(self, categories: int, feature_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(categories, feature_dim))
        self.bias = nn.Parameter(torch.zeros(categories))
        nn.init.uniform_(self.weight, -(feature_dim**-0.5), feature_dim**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, D) features to (B, C) logits."""
        return (features * self.weight).sum(-1) + self.bias


class SemanticDecouplingNet(nn.Module):
    """Last backbone stage, 1x1 convolution, semantic decoupling, per-category logits.

    Args:
        backbone: its last stage is copied, so that several networks can start from one backbone.
        word_embeddings: (C, word_dim) word embeddings of the categories; not trained.
        feature_dim: D.
        attention_dim: width of the semantic attention.
    """

    word_embeddings: Tensor

    def __init__(
        self, backbone: Backbone, word_embeddings: Tensor, feature_dim: int, attention_dim: int
    ) -> None:
        super().__init__()
        self.last_stage = copy.deepcopy(backbone.last).requires_grad_(True)
        self.project = nn.Sequential(
            PointwiseConv2d(backbone.channels, feature_dim, bias=False),
            nn.BatchNorm2d(feature_dim),
        )
        self.decoupling = SemanticDecoupling(feature_dim, attention_dim, word_embeddings.shape[1])
        self.classifier = PerCategoryLinear(len(word_embeddings), feature_dim)
        self.register_buffer("word_embeddings", word_embeddings)

    def forward(self, feature_maps: Tensor) -> Outputs:
        """(B, channels, H, W) feature maps of the frozen stages to Outputs."""
        projected = self.project(self.last_stage(feature_maps))
        features = self.decoupling(projected, self.word_embeddings)
        return Outputs(self.classifier(features), features, self.classifier)
