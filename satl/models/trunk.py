"""The trunk that SATL and the plain baselines share: maps to category features to logits."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from satl.models.backbone import Backbone
from satl.models.decoupling import SemanticDecoupling


@dataclass(frozen=True)
class Outputs:
    """What a model says of a batch.

    Attributes:
        logits: (B, C).
        features: (B, C, D), one for each category.
        classify: from features to logits, for methods that change features.
    """

    logits: Tensor
    features: Tensor
    classify: Callable[[Tensor], Tensor]

    def float(self, autocast: Callable[[], AbstractContextManager] = nullcontext) -> "Outputs":
        """The same in float32: losses are computed from these, whatever the network ran in.

        Args:
            autocast: what the network runs in; `classify` still does, and returns float32.
        """
        return replace(
            self,
            logits=self.logits.float(),
            features=self.features.float(),
            classify=in_float32(self.classify, autocast),
        )


def in_float32(
    part: Callable[[Tensor], Tensor], autocast: Callable[[], AbstractContextManager]
) -> Callable[[Tensor], Tensor]:
    """A part of the network that runs in `autocast` and returns float32."""

    def run(features: Tensor) -> Tensor:
        with autocast():
            return part(features).float()

    return run


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


class Trunk(nn.Module):
    """Last backbone stage, 1x1 convolution, semantic decoupling, per-category logits.

    Args:
        backbone: its last stage is copied, so that several trunks can start from one backbone.
        words: (C, word_dim) word vectors of the categories; not trained.
        feature_dim: D.
        attention_dim: width of the semantic attention.
    """

    def __init__(
        self, backbone: Backbone, words: Tensor, feature_dim: int, attention_dim: int
    ) -> None:
        super().__init__()
        self.last_stage = copy.deepcopy(backbone.last).requires_grad_(True)
        self.project = nn.Sequential(
            nn.Conv2d(backbone.channels, feature_dim, kernel_size=1, bias=False),
            nn.BatchNorm2d(feature_dim),
        )
        self.decoupling = SemanticDecoupling(feature_dim, attention_dim, words.shape[1])
        self.classifier = PerCategoryLinear(len(words), feature_dim)
        self.register_buffer("words", words)

    def forward(self, maps: Tensor) -> Outputs:
        """(B, channels of layer3, H, W) maps of the frozen stages to Outputs."""
        features = self.decoupling(self.project(self.last_stage(maps)), self.words)
        return Outputs(self.classifier(features), features, self.classifier)
