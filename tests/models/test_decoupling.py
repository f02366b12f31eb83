import pytest
import torch
from conftest import golden

from satl.models import SemanticDecoupling
from satl.models import decoupling as module


@pytest.mark.parametrize("group_entries", [2**22, 1200, 1], ids=["one group", "threes", "each"])
def test_golden_output_attention_and_gradient(monkeypatch, group_entries):
    monkeypatch.setattr(module, "CPU_GROUP_ENTRIES", group_entries)
    monkeypatch.setattr(module, "CPU_KEPT_ENTRIES", group_entries)
    g = {key: torch.from_numpy(value) for key, value in golden("semantic_decoupling").items()}
    layer = SemanticDecoupling(feature_dim=16, attention_dim=10, word_dim=12)
    layer.load_state_dict({k.replace("_", "."): v for k, v in g.items() if k.startswith("fc")})
    maps = g["feature_map"].requires_grad_()
    semantic = layer(maps, g["words"])
    semantic.backward(g["upstream"])
    attention = layer.attention(maps.flatten(2).transpose(1, 2), g["words"])
    assert torch.allclose(semantic, g["semantic"], atol=1e-5)
    assert torch.allclose(attention.reshape(g["attention"].shape), g["attention"], atol=1e-5)
    assert torch.allclose(maps.grad, g["grad_feature_map"], atol=1e-5)


@pytest.mark.parametrize("group_entries", [2**22, 90, 1])
def test_gradients_of_the_fused_scores(monkeypatch, group_entries):
    monkeypatch.setattr(module, "CPU_GROUP_ENTRIES", group_entries)
    monkeypatch.setattr(module, "CPU_KEPT_ENTRIES", group_entries)
    torch.manual_seed(0)
    shapes = ((2, 3, 4), (5, 4), (4,))
    inputs = [torch.randn(s, dtype=torch.double, requires_grad=True) for s in shapes]
    assert torch.autograd.gradcheck(module._Scores.apply, inputs)
