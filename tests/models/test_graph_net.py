import pytest
import torch
from conftest import golden
from torch import nn

from satl.models.backbone import Backbone
from satl.models.graph_net import GraphNet, from_published


@pytest.fixture
def published():
    """The net with the golden parameters, in evaluation mode, and the golden arrays."""
    g = {key: torch.from_numpy(value) for key, value in golden("sst_forward").items()}
    # The golden map is the last stage's.
    backbone = Backbone(nn.Identity(), nn.Identity(), channels=2048)
    net = GraphNet(backbone, torch.zeros(6, 12), torch.zeros(6, 6), 16, 10, pairs=True)
    state = {k.removeprefix("param__"): v for k, v in g.items() if k.startswith("param__")}
    net.load_state_dict(from_published(state))
    return net.eval(), g


def test_golden_forward_of_sst(published):
    net, g = published
    assert torch.equal(net.word_embeddings, g["words"]) and torch.equal(
        net.adjacency, g["adjacency"]
    )
    outputs = net(g["feature_map"])
    for name, ours in {
        "semantic": outputs.features,
        "logits": outputs.logits,
        "pair_logits": outputs.pair_logits,
    }.items():
        assert torch.allclose(ours, g[name], rtol=0, atol=1e-4), name
    assert torch.equal(outputs.classify(outputs.features), outputs.logits)


def test_attention_says_where_features_come_from(published):
    net, g = published
    outputs = net(g["feature_map"])
    maps = net.project(g["feature_map"])
    features = torch.einsum("bchw,bdhw->bcd", outputs.attention, maps)
    assert torch.allclose(features, outputs.features, atol=1e-5)


def test_a_name_that_is_not_published():
    with pytest.raises(KeyError, match=r"nonsense\.weight"):
        from_published({"nonsense.weight": torch.zeros(1)})
    assert from_published({"backbone.layer3.0.conv1.weight": torch.zeros(1)}) == {}
