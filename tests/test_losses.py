import pytest
import torch
import torch.nn.functional as F
from conftest import golden

from satl.losses import (
    contrastive,
    differential_ranking,
    largest_among,
    pair_asymmetric,
    partial_bce,
)


def tensors(name):
    return {key: torch.from_numpy(value) for key, value in golden(name).items()}


def test_partial_bce_golden():
    g = tensors("partial_bce")
    margin = float(g["margin"])
    assert partial_bce(g["logits"], g["labels"]).item() == pytest.approx(g["loss"].item(), abs=1e-6)
    soft = partial_bce(g["logits"], g["soft_labels"])
    assert soft.item() == pytest.approx(g["soft_loss"].item(), abs=1e-6)
    above = partial_bce(g["logits"], g["soft_labels"], margin)
    assert above.item() == pytest.approx(g["soft_loss_margin"].item(), abs=1e-6)


def test_partial_bce_of_hard_labels_is_torch_bce_over_the_known_entries():
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 7), torch.randint(-1, 2, (5, 7))
    known = labels != 0
    expected = F.binary_cross_entropy_with_logits(logits[known], (labels[known] > 0).float())
    assert partial_bce(logits, labels).item() == pytest.approx(expected.item(), abs=1e-6)


def test_unknown_entries_get_no_gradient():
    logits = torch.randn(3, 4, requires_grad=True)
    labels = torch.tensor([[1, 0, -1, 0]] * 3)
    (partial_bce(logits, labels) + differential_ranking(logits, labels)).backward()
    assert (logits.grad[:, [1, 3]] == 0).all()
    assert (logits.grad[:, [0, 2]] != 0).all()


def test_differential_ranking_equals_the_pairwise_hinge_of_margin_one():
    torch.manual_seed(1)
    logits, labels = torch.randn(9, 6), torch.randint(-1, 2, (9, 6))
    labels[:, 5] = 1  # no negative: does not count
    scores, hinges = torch.sigmoid(logits), []
    for c in range(5):
        positive, negative = scores[labels[:, c] > 0, c], scores[labels[:, c] < 0, c]
        pairs = (1 - (positive[:, None] - negative[None])).clamp(min=0)
        hinges.append(pairs.mean())
    expected = torch.stack(hinges).mean()
    assert differential_ranking(logits, labels).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("loss", [partial_bce, differential_ranking])
def test_nothing_known_gives_zero_with_a_gradient_graph(loss):
    logits = torch.randn(2, 3, requires_grad=True)
    value = loss(logits, torch.zeros(2, 3, dtype=torch.int8))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("loss", [partial_bce, differential_ranking])
def test_extreme_and_half_precision_logits_stay_finite(loss):
    logits = torch.tensor([[300.0, -300.0], [-300.0, 300.0]], dtype=torch.bfloat16)
    value = loss(logits.requires_grad_(), torch.tensor([[1, 1], [-1, -1]]))
    assert value.dtype == torch.float32
    assert torch.isfinite(value)


def test_pair_asymmetric_golden():
    g = tensors("pair_asymmetric_loss")
    gammas = float(g["gamma_neg"]), float(g["gamma_pos"])
    ours = pair_asymmetric(g["pair_logits"], g["labels"], *gammas, float(g["clip"]))
    assert ours.item() == pytest.approx(g["loss"].item(), abs=1e-6)


@pytest.mark.parametrize("name", ["contrastive_loss", "contrastive_loss_no_positive_pair"])
def test_contrastive_golden(name):
    g = tensors(name)
    ours = contrastive(g["features"], g["labels"])
    assert ours.item() == pytest.approx(g["loss"].item(), abs=1e-6)


def test_contrastive_thins_negatives_out_as_a_loop_would():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(9, 4, 5, generator=generator)
    labels = torch.randint(-1, 2, (9, 4), generator=generator)
    labels[labels > 0] *= torch.rand(9, 4, generator=generator)[labels > 0] < 0.6
    kinds = {"positive": [], "mixed": [], "negative": []}
    draws = torch.rand(4 * 36, generator=torch.Generator().manual_seed(3)).tolist()
    for c in range(4):
        for a in range(9):
            for b in range(a + 1, 9):
                draw, y = draws.pop(0), {int(labels[a, c]), int(labels[b, c])}
                cosine = F.cosine_similarity(features[a, c], features[b, c], dim=0).item()
                if y == {1}:
                    kinds["positive"].append(1 - cosine)
                elif y in ({1, -1}, {-1}):
                    kinds["mixed" if 1 in y else "negative"].append((draw, 1 + cosine))
    n, terms = len(kinds["positive"]), list(kinds["positive"])
    for pairs in (kinds["mixed"], kinds["negative"]):
        assert 0 < 2 * n < len(pairs), "some are thinned out"
        terms += [term for _, term in sorted(pairs, reverse=True)[: 2 * n]]
        terms += sorted((term for _, term in pairs), reverse=True)[:n]
    ours = contrastive(features, labels, torch.Generator().manual_seed(3))
    assert ours.item() == pytest.approx(sum(terms) / len(terms), abs=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("value", [-1, 0, 1])
def test_heads_losses_are_finite_for_degenerate_batches(batch, value):
    features = torch.zeros(batch, 3, 4, requires_grad=True)
    pair_logits = torch.tensor([[90.0, -90.0, 0.0]]).repeat(batch, 1).requires_grad_()
    labels = torch.full((batch, 3), value, dtype=torch.int8)
    (contrastive(features, labels) + pair_asymmetric(pair_logits, labels, clip=0)).backward()
    assert torch.isfinite(features.grad).all()
    assert torch.isfinite(pair_logits.grad).all()


def test_largest_among_takes_no_more_than_there_are_and_the_first_of_equals():
    values = torch.tensor([[9.0, 1.0, 2.0], [2.0, -3.0, 2.0]])
    among = torch.tensor([[False, True, True], [True, True, True]])
    taken = [largest_among(values, among, count).int().tolist() for count in (0, 2, 4, 9)]
    assert taken == [
        [[0, 0, 0], [0, 0, 0]],
        [[0, 0, 1], [1, 0, 0]],
        [[0, 1, 1], [1, 0, 1]],
        among.int().tolist(),
    ]
    assert not largest_among(values, torch.zeros_like(among), 3).any()
