"""Semantic decoupling, forward and backward, against the textbook's tile and concatenate."""

import pytest
import torch
from torch import Tensor

from satl.models import SemanticDecoupling

BATCH, CATEGORIES, SIDE, FEATURES, ATTENTION = 4, 80, 14, 1024, 512


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(0)
    layer = SemanticDecoupling(FEATURES, ATTENTION, word_dim=300)
    return layer, torch.randn(BATCH, FEATURES, SIDE, SIDE), torch.randn(CATEGORIES, 300)


def textbook(layer: SemanticDecoupling, maps: Tensor, words: Tensor) -> Tensor:
    """Every product laid out over batch, positions, categories and channels."""
    positions = maps.flatten(2).transpose(1, 2)
    b, p, d = positions.shape
    c = len(words)
    tiled = positions.reshape(b * p, 1, d).expand(b * p, c, d).reshape(b * p * c, d)
    word = words.reshape(1, c, -1).expand(b * p, c, -1).reshape(b * p * c, -1)
    joint = torch.tanh(layer.fc1(tiled) * layer.fc2(word))
    attention = layer.fc4(layer.fc3(joint)).view(b, p, c).softmax(1)
    return (positions.unsqueeze(2) * attention.unsqueeze(3)).sum(1)


def forward_backward(function, maps, words):
    maps = maps.detach().requires_grad_()
    result = function(maps, words)
    result.square().sum().backward()
    return result.detach(), maps.grad


@pytest.mark.benchmark(group="semantic decoupling, B=4 C=80 14x14 D=1024")
def test_factored(benchmark, inputs):
    layer, maps, words = inputs
    benchmark.pedantic(forward_backward, (layer, maps, words), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="semantic decoupling, B=4 C=80 14x14 D=1024")
def test_textbook(benchmark, inputs):
    layer, maps, words = inputs
    slow = benchmark.pedantic(
        forward_backward, (lambda m, w: textbook(layer, m, w), maps, words), rounds=2
    )
    for mine, theirs in zip(forward_backward(layer, maps, words), slow, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-4)
