"""ML-GCN: its graph entry by entry, and its network against the formula."""

import pytest
import torch
import torch.nn.functional as F

from baselines.ml_gcn import MLGCN
from satl.config import Model
from satl.losses import partial_bce
from satl.methods.base import Context, Progress
from satl.models.backbone import build_backbone, initial_weights
from satl.models.gcn import correlation_matrix, normalised_adjacency

# 0 and 1 are together in two of the three images of 0 and in both of 1; 2 is with 0 in one
# image of three and alone in the others; 3 is never known positive.
LABELS = torch.tensor(
    [[1, 1, 0, -1], [1, 1, -1, 0], [1, 0, 1, 0], [-1, 0, 1, -1], [0, -1, 1, 0], [0, 0, 0, 0]],
    dtype=torch.int8,
)


def test_correlation_entry_by_entry():
    # P(1|0) = 2/3, P(0|1) = 1, P(2|0) = P(0|2) = 1/3.
    found = correlation_matrix(LABELS, threshold=0.4, neighbour_weight=0.2)
    expected = [[0.8, 0.2, 0, 0], [0.2, 0.8, 0, 0], [0, 0, 0.8, 0], [0, 0, 0, 0.8]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_weight_is_spread_over_the_neighbours():
    found = correlation_matrix(LABELS, threshold=0.3, neighbour_weight=0.5)
    expected = [[0.5, 0.25, 0.25, 0], [0.5, 0.5, 0, 0], [0.5, 0, 0.5, 0], [0, 0, 0, 0.5]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_an_edge_stands_from_the_threshold_on():
    labels = torch.tensor([[1, 1], [1, 0]])
    assert correlation_matrix(labels, 0.5, 0.2)[0, 1] == pytest.approx(0.2)
    assert correlation_matrix(labels, 0.51, 0.2)[0, 1] == 0


def test_without_any_positive_label_each_category_stands_alone():
    correlation = correlation_matrix(-torch.ones(3, 4), 0.4, 0.2)
    torch.testing.assert_close(correlation, 0.8 * torch.eye(4))
    torch.testing.assert_close(normalised_adjacency(correlation), torch.eye(4))


def test_the_adjacency_is_normalised_on_both_sides():
    correlation = torch.tensor([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.0, 0.8]])
    degree = [1.0, 1.0, 0.8]
    found = normalised_adjacency(correlation)
    for i in range(3):
        for j in range(3):
            expected = correlation[i, j].item() / (degree[i] * degree[j]) ** 0.5
            assert found[i, j].item() == pytest.approx(expected)


@pytest.fixture
def parts():
    torch.manual_seed(0)
    backbone = build_backbone("tiny", initial_weights("tiny", "random"))
    method = MLGCN(MLGCN.Options(hidden_dim=7), Context(tuple("abcd"), 5, 3, LABELS))
    words = torch.randn(4, 20)
    model = method.build_model(backbone, words, Model(backbone="tiny", weights="random")).eval()
    return method, model, words, backbone.frozen(torch.randn(6, 3, 32, 32))


def test_logits_are_the_formula(parts):
    _, model, words, maps = parts
    adjacency = normalised_adjacency(correlation_matrix(LABELS, 0.4, 0.2))
    gcn = model.classifiers
    hidden = F.leaky_relu(adjacency @ words @ gcn.first.weight.T, 0.2)
    classifiers = adjacency @ hidden @ gcn.second.weight.T
    pooled = F.adaptive_max_pool2d(model.last_stage(maps), 1).flatten(1)
    torch.testing.assert_close(model(maps).logits, pooled @ classifiers.T)


def test_outputs_are_consistent_and_share_one_feature(parts):
    _, model, _, maps = parts
    channels = model.last_stage(maps).shape[1]
    outputs = model(maps)
    assert outputs.features.shape == (6, 4, channels)
    assert outputs.features.stride(1) == 0
    torch.testing.assert_close(outputs.classify(outputs.features), outputs.logits)


def test_a_category_never_positive_still_learns(parts):
    method, model, _, maps = parts
    outputs = model(maps)
    result = method.step(outputs, LABELS, Progress(0, 0, torch.arange(6), None))
    assert set(result.losses) == {"known"}
    assert result.losses["known"].item() == partial_bce(outputs.logits, LABELS).item()
    (gradient,) = torch.autograd.grad(outputs.logits[:, 3].sum(), [model.classifiers.first.weight])
    assert torch.isfinite(outputs.logits).all()
    assert gradient.abs().sum() > 0


def test_logits_are_computed_in_float32_under_autocast(parts):
    """In bfloat16 two images of nearly the same feature would tie."""
    _, model, _, maps = parts
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(maps)
        again = outputs.classify(outputs.features)
    assert outputs.logits.dtype == again.dtype == torch.float32
    assert not torch.equal(outputs.logits, outputs.logits.bfloat16().float())
