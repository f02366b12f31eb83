"""SATL and the fixed threshold: the formulas, entry by entry."""

import pytest
import torch
import torch.nn.functional as F

from baselines.assume_negative import AssumeNegative
from baselines.fixed_threshold import FixedThreshold
from satl.losses import differential_ranking
from satl.methods.base import Context, Progress
from satl.methods.satl import SATL
from satl.models.outputs import Outputs
from satl.threshold_rules import RULES

CONTEXT = Context(("a", "b", "c"), 10, 4, torch.zeros(60, 3, dtype=torch.int8))


def step(method, logits, labels, epoch):
    outputs = Outputs(logits, torch.zeros(*logits.shape, 1), classify=lambda features: features)
    return method.step(outputs, labels, Progress(epoch, 0, torch.arange(len(logits)), None))


def satl(**options):
    return SATL(SATL.Options(**options), CONTEXT)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    labels = torch.randint(-1, 2, (60, 3), dtype=torch.int8)
    return torch.randn(60, 3) + 1.5 * labels, labels


def test_satl_loss_entry_by_entry(batch):
    logits, labels = batch
    method = satl(pseudo_weight=0.3, ranking_weight=2.0, q=0.8)
    result = step(method, logits, labels, epoch=2)
    thresholds = RULES["posterior"](method.statistics, 0.8)
    known = pseudo = 0.0
    for z, y in zip(logits, labels, strict=True):
        for c in range(3):
            if y[c]:
                known += F.softplus(-y[c] * z[c]).item()
            elif z[c] >= thresholds.pos[c]:
                pseudo += F.softplus(-z[c]).item()
            elif z[c] <= thresholds.neg[c]:
                pseudo += F.softplus(z[c]).item()
    count = (labels != 0).sum().item()
    assert pseudo > 0
    assert result.losses["known"].item() == pytest.approx(known / count, rel=1e-5)
    assert result.losses["pseudo"].item() == pytest.approx(0.3 * pseudo / count, rel=1e-5)
    expected = 2 * differential_ranking(logits, labels).item()
    assert result.losses["ranking"].item() == pytest.approx(expected)


def test_satl_warms_up_for_a_fifth_of_the_epochs(batch):
    method = satl()
    assert step(method, *batch, epoch=1).pseudo_labels is None
    assert step(method, *batch, epoch=2).pseudo_labels is not None


def test_options_leave_parts_out(batch):
    assert set(step(satl(ranking_weight=0), *batch, epoch=5).losses) == {"known", "pseudo"}
    assert set(step(satl(pseudo_weight=0), *batch, epoch=5).losses) == {"known", "ranking"}


def test_pseudo_labels_enter_neither_the_statistics_nor_the_ranking(batch):
    logits, labels = batch
    early, late = satl(), satl()
    step(early, logits, labels, epoch=0)
    result = step(late, logits, labels, epoch=9)
    assert result.pseudo_labels.any()
    assert torch.equal(early.statistics.n, late.statistics.n)
    counted = torch.stack([(labels > 0).sum(0), (labels < 0).sum(0)])
    assert torch.equal(late.statistics.n, counted.float())


def test_memory_of_the_statistics_is_one_epoch(batch):
    assert satl().statistics.decay == 1 - 1 / 4


def test_fixed_threshold_takes_scores_from_the_threshold_on():
    method = FixedThreshold(FixedThreshold.Options(threshold=0.9), CONTEXT)
    logits = torch.logit(torch.tensor([[0.899, 0.901, 0.001], [0.95, 0.5, 0.95]]))
    labels = torch.tensor([[0, 0, 0], [-1, 1, 0]], dtype=torch.int8)
    assert step(method, logits, labels, epoch=1).pseudo_labels is None
    result = step(method, logits, labels, epoch=2)
    assert result.pseudo_labels.tolist() == [[0, 1, 0], [0, 0, 1]]
    expected = F.softplus(-torch.tensor([logits[0, 1], logits[1, 2]])).mean()
    assert result.losses["pseudo"].item() == pytest.approx(expected.item())


def test_fixed_threshold_with_a_negative_one():
    options = FixedThreshold.Options(threshold=0.9, negative_threshold=0.1)
    method = FixedThreshold(options, CONTEXT)
    logits = torch.logit(torch.tensor([[0.95, 0.5, 0.05]]))
    result = step(method, logits, torch.zeros(1, 3, dtype=torch.int8), epoch=5)
    assert result.pseudo_labels.tolist() == [[1, 0, -1]]


def test_assume_negative_counts_the_unknown_as_absent():
    method = AssumeNegative(AssumeNegative.Options(), CONTEXT)
    logits = torch.tensor([[1.0, -2.0, 0.5]])
    result = step(method, logits, torch.tensor([[1, 0, -1]], dtype=torch.int8), epoch=0)
    expected = (F.softplus(torch.tensor([-1.0, -2.0, 0.5]))).mean()
    assert result.losses["known"].item() == pytest.approx(expected.item())
    assert result.pseudo_labels is None
