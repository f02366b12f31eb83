"""SSGRL: which network, which graph, which loss; the network has tests of its own."""

import torch

from baselines.ssgrl import SSGRL
from satl.config import Model
from satl.losses import partial_bce
from satl.methods.base import Context, Progress
from satl.models.backbone import build_backbone, initial_weights
from satl.models.graph_net import GraphNet

# Of the two images with 0, one has 1; the third category is never known positive.
LABELS = torch.tensor([[1, 1, 0], [1, 0, -1], [0, 0, 0]], dtype=torch.int8)


def test_partial_bce_on_the_trunk_with_the_graph_of_the_known_positives():
    torch.manual_seed(0)
    backbone = build_backbone("tiny", initial_weights("tiny", "random"))
    method = SSGRL(SSGRL.Options(), Context(tuple("abc"), 5, 3, LABELS))
    model = Model(backbone="tiny", weights="random", feature_dim=6, attention_dim=4)
    network = method.build_model(backbone, torch.randn(3, 20), model)
    assert isinstance(network, GraphNet) and network.pair_head is None
    assert network.adjacency.tolist() == [[1, 0.5, 0], [1, 1, 0], [0, 0, 0]]
    outputs = network(backbone.frozen(torch.randn(3, 3, 32, 32)))
    result = method.step(outputs, LABELS, Progress(0, 0, torch.arange(3), None))
    assert set(result.losses) == {"known"}
    assert result.losses["known"].item() == partial_bce(outputs.logits, LABELS).item()
    assert result.pseudo_labels is None
