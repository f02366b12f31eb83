"""Networks: backbones, semantic decoupling, graph, pair head, and whole networks. No losses."""

from satl.models.decoupling import SemanticDecoupling
from satl.models.graph import GatedGraph
from satl.models.pair_head import PairHead

__all__ = ["GatedGraph", "PairHead", "SemanticDecoupling"]
