"""The controls beside SATL: each has one of its parts, checked entry by entry."""

import pytest
import torch
import torch.nn.functional as F

from baselines.balanced_bce import BalancedBCE, balanced_loss
from baselines.fixed_threshold import FixedThreshold
from baselines.partial_bce import PartialBCE
from baselines.ranking_only import RankingOnly
from satl.losses import differential_ranking, partial_bce
from satl.methods.base import Context, Progress
from satl.methods.satl import SATL
from satl.models.outputs import Outputs

CONTEXT = Context(("a", "b", "c"), 10, 4, torch.zeros(20, 3, dtype=torch.int8))


def step(kind, logits, labels, epoch=9, **options):
    method = kind(kind.Options(**options), CONTEXT)
    outputs = Outputs(logits, torch.zeros(*logits.shape, 1), classify=lambda features: features)
    return method.step(outputs, labels, Progress(epoch, 0, torch.arange(len(logits)), None))


@pytest.fixture
def batch():
    torch.manual_seed(0)
    labels = torch.randint(-1, 2, (20, 3), dtype=torch.int8)
    return torch.randn(20, 3) + labels, labels


def test_balanced_loss_entry_by_entry():
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.3, 4.0, 1.0], [-0.7, 1.5, 9.0], [0.1, 9.0, -2.0]])
    # The second category lacks a known negative, so it does not count.
    labels = torch.tensor([[1, 1, -1], [-1, 1, -1], [-1, 1, 0], [-1, 0, 1]])
    bce = F.softplus
    first = bce(-logits[0, 0]) / 2 + bce(logits[1:, 0]).mean() / 2
    third = bce(-logits[3, 2]) / 2 + bce(logits[:2, 2]).mean() / 2
    expected = (first + third) / 2
    assert balanced_loss(logits, labels).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("value", [0, 1, -1])
def test_balanced_loss_without_both_labels_are_zero_with_a_gradient(value):
    logits = torch.randn(4, 3, requires_grad=True)
    loss = balanced_loss(logits, torch.full((4, 3), value))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(4, 3))


def test_balanced_loss_ignore_how_many_of_each_label_there_are():
    logits = torch.tensor([[1.0], [-2.0]])
    labels = torch.tensor([[1], [-1]])
    more = torch.tensor([0, 1, 1, 1, 1])
    expected = balanced_loss(logits, labels).item()
    assert balanced_loss(logits[more], labels[more]).item() == pytest.approx(expected)


def test_balanced_bce_adds_the_weighted_term_to_partial_bce(batch):
    result = step(BalancedBCE, *batch, weight=0.5)
    assert set(result.losses) == {"known", "balanced"}
    assert result.losses["known"].item() == partial_bce(*batch).item()
    expected = 0.5 * balanced_loss(*batch).item()
    assert result.losses["balanced"].item() == pytest.approx(expected)
    assert result.pseudo_labels is None


def test_the_two_partial_bces(batch):
    logits, labels = batch
    known = (labels != 0).sum().item()
    total = F.softplus(-logits * labels)[labels != 0].sum().item()
    losses = {
        divisor: step(PartialBCE, logits, labels, divisor=divisor).losses["known"].item()
        for divisor in ("known", "categories")
    }
    assert losses["known"] == partial_bce(logits, labels).item()
    assert losses["known"] == pytest.approx(total / known)
    assert losses["categories"] == pytest.approx(total / labels.numel())


def test_ranking_only_is_satl_without_pseudo_labels(batch):
    mine, satl = step(RankingOnly, *batch), step(SATL, *batch, pseudo_weight=0)
    assert set(mine.losses) == set(satl.losses) == {"known", "ranking"}
    for name, loss in mine.losses.items():
        assert loss.item() == pytest.approx(satl.losses[name].item())
    assert mine.pseudo_labels is None


def test_fixed_threshold_takes_the_ranking_loss_as_an_option(batch):
    without, beside = step(FixedThreshold, *batch), step(FixedThreshold, *batch, ranking_weight=2)
    assert set(without.losses) == {"known", "pseudo"}
    assert set(beside.losses) == {"known", "pseudo", "ranking"}
    assert beside.losses["ranking"].item() == pytest.approx(2 * differential_ranking(*batch).item())
    for name, loss in without.losses.items():
        assert beside.losses[name].item() == loss.item()
    # Like SATL's, it is on from the first epoch.
    assert "ranking" in step(FixedThreshold, *batch, epoch=0, ranking_weight=2).losses
