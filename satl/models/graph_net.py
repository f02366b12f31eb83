"""The network of SST, SARB, HST and DSRB as published: semantic decoupling, then a gated graph."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor, nn

from satl.models.backbone import Backbone
from satl.models.decoupling_net import SemanticDecouplingNet
from satl.models.graph import GatedGraph
from satl.models.outputs import Outputs, in_float32
from satl.models.pair_head import PairHead

# Prefixes of the published parameter names, and ours.
PUBLISHED_PREFIXES = {
    "backbone.layer4.": "last_stage.",
    "changeChannel.": "project.",
    "SemanticDecoupling.": "decoupling.",
    "GraphNeuralNetwork.fc_": "graph.fc_",
    "fc.": "fc.",
    "classifiers.": "classifier.",
    "intra_": "pair_head.",
}


@dataclass(frozen=True)
class GraphOutputs(Outputs):
    """`features` are those before the graph; `classify` is graph, fc, tanh and classifiers.

    Attributes:
        attention: (B, C, H, W) float32, where each category looks; sums to 1 over H and W.
        pair_head: from features to pair logits; none for methods that have no use for pairs.
    """

    attention: Tensor
    pair_head: Callable[[Tensor], Tensor] | None = None

    @cached_property
    def pair_logits(self) -> Tensor:
        """(B, C(C-1)/2), computed when first asked for: prediction never does."""
        assert self.pair_head is not None, "this network has no pair head"
        return self.pair_head(self.features)

    def float(self, autocast: Callable[[], AbstractContextManager[None]] = nullcontext) -> Self:
        """See `Outputs.float`; the pair head too runs in `autocast` and returns float32."""
        return replace(
            super().float(autocast),
            attention=self.attention.float(),
            pair_head=in_float32(self.pair_head, autocast) if self.pair_head else None,
        )


class GraphNet(SemanticDecouplingNet):
    """Last stage, 1x1 convolution, semantic decoupling, gated graph, per-category logits.

    logit_c = classifier_c · tanh(fc [g_c ; f_c]), f the category features, g what the graph makes
    of them (SSGRL, Chen et al., ICCV 2019).

    Args:
        backbone: its last stage is copied, so that several networks can start from one backbone.
        word_embeddings: (C, word_dim) word embeddings of the categories; not trained.
        adjacency: (C, C), P(column | row); not trained.
        feature_dim: D.
        attention_dim: width of the semantic attention, and of the pair head.
        pairs: whether there is a pair head on the features.
    """

    def __init__(
        self,
        backbone: Backbone,
        word_embeddings: Tensor,
        adjacency: Tensor,
        feature_dim: int,
        attention_dim: int,
        pairs: bool = False,
    ) -> None:
        super().__init__(backbone, word_embeddings, feature_dim, attention_dim)
        self.graph = GatedGraph(feature_dim)
        self.fc = nn.Linear(2 * feature_dim, feature_dim)
        self.pair_head = (
            PairHead(len(word_embeddings), feature_dim, attention_dim) if pairs else None
        )
        self.register_buffer("adjacency", adjacency.float())

    def classify(self, features: Tensor) -> Tensor:
        """(B, C, D) features before the graph to (B, C) logits."""
        joint = torch.cat([self.graph(features, self.adjacency), features], dim=2)
        return self.classifier(torch.tanh(self.fc(joint)))

    def forward(self, feature_maps: Tensor) -> GraphOutputs:
        """(B, channels, H, W) feature maps of the frozen stages to GraphOutputs."""
        projected = self.project(self.last_stage(feature_maps))
        positions = projected.flatten(2).transpose(1, 2)
        attention = self.decoupling.attention(positions, self.word_embeddings).transpose(1, 2)
        features = attention.to(positions.dtype) @ positions
        return GraphOutputs(
            logits=self.classify(features),
            features=features,
            classify=self.classify,
            attention=attention.unflatten(2, projected.shape[2:]),
            pair_head=self.pair_head,
        )


def from_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state_dict of the published SST (HCP-MLR-PL) as one of `GraphNet`.

    changeChannel → project, SemanticDecoupling → decoupling, GraphNeuralNetwork → graph,
    fc → fc, classifiers → classifier, intra_{fc_1, fc_2, fc_3, classifiers} → pair_head,
    wordFeatures → word_embeddings, inMatrix → adjacency. outMatrix is the transpose of inMatrix,
    and both stand a second time in GraphNeuralNetwork: these are left out, like the frozen stages
    of the backbone (backbone.layer4 → last_stage; these names we could not check).

    Raises:
        KeyError: a name that the published model does not have.
    """
    ours = {}
    for name, value in state.items():
        if name in {"wordFeatures", "inMatrix"}:
            ours["word_embeddings" if name == "wordFeatures" else "adjacency"] = value
            continue
        prefix = next((p for p in PUBLISHED_PREFIXES if name.startswith(p)), None)
        if prefix is not None:
            ours[PUBLISHED_PREFIXES[prefix] + name.removeprefix(prefix)] = value
        elif not name.endswith(("inMatrix", "outMatrix")) and not name.startswith("backbone."):
            raise KeyError(f"{name} is no parameter of the published model")
    return ours
