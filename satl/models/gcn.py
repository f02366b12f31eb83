"""ML-GCN: classifiers that graph convolutions make of word embeddings (Chen et al., CVPR 2019)."""

import copy
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from satl.models.backbone import Backbone
from satl.models.graph import cooccurrence
from satl.models.outputs import Outputs

NEGATIVE_SLOPE = 0.2


def correlation_matrix(labels: Tensor, threshold: float, neighbour_weight: float) -> Tensor:
    """Which categories a category's classifier draws on, and how much, from known positives.

    P(j | i) of `cooccurrence` becomes 1 from `threshold` t on and else 0. The weight p is then
    spread evenly over the ones that a row has off the diagonal; 1 - p stays on the diagonal.

    A category that is never known positive has P(j | i) = 0, not 0/0: it and every other category
    without neighbours keep the diagonal alone.

    Args:
        labels: (N, C), +1 / -1 / 0.
        threshold: t.
        neighbour_weight: p.

    Returns:
        (C, C) float32; row i is category i.
    """
    binary = (cooccurrence(labels) >= threshold).float().fill_diagonal_(0)
    spread = neighbour_weight * binary / binary.sum(1, keepdim=True).clamp(min=1)
    return spread + (1 - neighbour_weight) * torch.eye(len(binary))


def normalised_adjacency(correlation: Tensor) -> Tensor:
    """D^-1/2 A D^-1/2 with D the row sums of the (C, C) matrix A, which must be positive."""
    scale = correlation.sum(1).rsqrt()
    return scale.unsqueeze(1) * correlation * scale


class GCNClassifiers(nn.Module):
    """Two graph convolutions H ← Â H W: word embeddings in, classifiers out.

    Args:
        adjacency: Â, (C, C), normalised; not trained.
        word_embeddings: (C, word_dim) word embeddings of the categories; not trained.
        hidden_dim: width after the first convolution.
        feature_dim: D, length of a classifier.
    """

    def __init__(
        self, adjacency: Tensor, word_embeddings: Tensor, hidden_dim: int, feature_dim: int
    ) -> None:
        super().__init__()
        self.first = nn.Linear(word_embeddings.shape[1], hidden_dim, bias=False)
        self.second = nn.Linear(hidden_dim, feature_dim, bias=False)
        self.register_buffer("adjacency", adjacency)
        self.register_buffer("word_embeddings", word_embeddings)

    def forward(self) -> Tensor:
        """(C, D), one linear classifier per category."""
        hidden = leaky_relu(self.adjacency @ self.first(self.word_embeddings), NEGATIVE_SLOPE)
        return self.adjacency @ self.second(hidden)


class GCNModel(nn.Module):
    """Last backbone stage, global max-pooling, and the classifiers of a graph convolution.

    There is no 1x1 convolution and no semantic decoupling: one feature serves all categories,
    and D is the backbone's number of channels.

    Args:
        backbone: its last stage is copied, so that several models can start from one backbone.
        adjacency: see `GCNClassifiers`, as are `word_embeddings` and `hidden_dim`.
    """

    def __init__(
        self, backbone: Backbone, adjacency: Tensor, word_embeddings: Tensor, hidden_dim: int
    ) -> None:
        super().__init__()
        self.last_stage = copy.deepcopy(backbone.last).requires_grad_(True)
        self.classifiers = GCNClassifiers(adjacency, word_embeddings, hidden_dim, backbone.channels)

    def forward(self, feature_maps: Tensor) -> Outputs:
        """(B, channels, H, W) feature maps of the frozen stages to Outputs.

        All categories of `Outputs.features` share the memory of one pooled feature.
        """
        pooled = self.last_stage(feature_maps).amax((2, 3))
        classifiers = self.classifiers()
        features = pooled.unsqueeze(1).expand(-1, len(classifiers), -1)
        # In bfloat16 thousands of images share a few hundred logits, and ties cost precision.
        with torch.autocast(pooled.device.type, enabled=False):
            logits = pooled.float() @ classifiers.float().T
        return Outputs(logits, features, partial(_classified, classifiers))


def _classified(classifiers: Tensor, features: Tensor) -> Tensor:
    """(C, D) classifiers and (B, C, D) features to (B, C) logits."""
    return (features.float() * classifiers.float()).sum(-1)
