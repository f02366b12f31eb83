"""Threshold rules that read more than moments: extremes, means of an epoch, ranks."""

import math

import pytest
import torch
from test_thresholds import filled

from satl.methods.base import Context, Progress
from satl.methods.satl import SATL
from satl.models.outputs import Outputs
from satl.threshold_rules import RULES
from satl.thresholds import ScoreStatistics, kth_smallest, quota_thresholds

STEPS = 4


def logit(p):
    return math.log(p / (1 - p))


def satl(labels, **options):
    context = Context(tuple("abc"), 10, STEPS, labels)
    return SATL(SATL.Options(**options), context)


def step(method, logits, labels):
    outputs = Outputs(logits, torch.zeros(*logits.shape, 1), classify=lambda features: features)
    progress = Progress(5, 0, torch.arange(len(logits)), None)
    return method.step(outputs, labels, progress)


def test_fixed_asks_for_the_same_score_of_all_and_for_nine_tenths_by_default():
    statistics, _, _ = filled()
    thresholds = RULES["fixed"](statistics, 0.8)
    assert thresholds.pos.tolist() == pytest.approx([logit(0.8)] * 4)
    assert thresholds.neg.tolist() == pytest.approx([logit(0.2)] * 4)
    assert SATL.Options(rule="fixed").q == 0.9
    assert SATL.Options(rule="fixed", q=0.7).q == 0.7
    assert SATL.Options().q == SATL.Options(rule="symmetric").q == 0.95


def test_fixed_thresholds_enter_satls_own_loss():
    """The only difference to the default is which entries are pseudo-labelled."""
    logits = torch.tensor([[2.0, 3.0, -3.0], [0.0, 2.5, -2.1]])
    labels = torch.tensor([[1, 0, 0], [-1, 0, 0]], dtype=torch.int8)
    result = step(satl(labels, rule="fixed"), logits, labels)
    assert result.pseudo_labels.tolist() == [[0, 1, -1], [0, 1, 0]]
    terms = torch.nn.functional.softplus(torch.tensor([-3.0, -2.5, -3.0]))
    assert result.losses["pseudo"].item() == pytest.approx(0.3 * terms.sum().item() / 2)


def test_midrange_is_halfway_between_the_extreme_scores_of_the_last_epoch():
    statistics = ScoreStatistics(2, decay=1 - 1 / STEPS)
    labels = torch.tensor([[1, 1], [1, 0], [-1, 0], [-1, 0]])
    extreme = torch.tensor([[9.0, 0], [-9.0, 0], [9.0, 0], [-9.0, 0]])
    statistics.update(extreme, labels)
    ordinary = torch.tensor([[4.0, 0], [1.0, 0], [-1.0, 0], [-3.0, 0]])
    for _ in range(STEPS - 1):
        statistics.update(ordinary, labels)
    # The first batch is still of the last epoch.
    assert RULES["midrange"](statistics, 0.9).pos[0].item() == pytest.approx(0, abs=1e-2)
    statistics.update(ordinary, labels)
    thresholds = RULES["midrange"](statistics, 0.9)
    score = torch.sigmoid(ordinary[:, 0])
    expected_pos = torch.logit((score[0] + score[1]) / 2).item()
    expected_neg = torch.logit((score[2] + score[3]) / 2).item()
    assert thresholds.pos[0].item() == pytest.approx(expected_pos, abs=0.06)
    assert thresholds.neg[0].item() == pytest.approx(expected_neg, abs=0.06)
    # Nothing negative is known of the second category.
    assert thresholds.pos[1] == torch.inf
    assert thresholds.neg[1] == -torch.inf


def test_handover_goes_from_the_last_epochs_mean_to_this_ones():
    torch.manual_seed(0)
    labels = torch.randint(-1, 2, (60, 3), dtype=torch.int8)
    method = satl(labels, rule="handover")
    first, second = (torch.randn(60, 3) + 4 * labels for _ in range(2))
    for logits in [first] * STEPS:
        method.statistics.update(logits, labels)
    method.end_epoch(0, first)
    before = method.thresholds()["tau_pos"]
    method.statistics.update(second, labels)
    thresholds = RULES["handover"](method.statistics, 0.5)
    for c in range(3):
        old, new = (x[labels[:, c] > 0, c].sigmoid().mean().item() for x in (first, second))
        mean = new / STEPS + old * (1 - 1 / STEPS)
        floor = 0.925  # one epoch has ended
        assert before[c].item() == pytest.approx(logit(max(old, floor)), rel=1e-4)
        assert thresholds.pos[c].item() == pytest.approx(logit(max(mean, floor)), rel=1e-4)
        old, new = (x[labels[:, c] < 0, c].sigmoid().mean().item() for x in (first, second))
        mean = new / STEPS + old * (1 - 1 / STEPS)
        assert thresholds.neg[c].item() == pytest.approx(logit(min(mean, 1 - floor)), rel=1e-4)


def test_handover_bears_a_category_that_lacks_labels():
    labels = torch.tensor([[1, 0, 0], [-1, -1, 0]], dtype=torch.int8)
    method = satl(labels, rule="handover")
    method.statistics.update(torch.tensor([[3.0, 1, 1], [-3.0, -2, 1]]), labels)
    thresholds = RULES["handover"](method.statistics, 0.9)
    assert thresholds.pos.isinf().tolist() == [False, True, True]
    method.end_epoch(0, torch.zeros(2, 3))
    method.statistics.update(torch.zeros(2, 3), torch.zeros_like(labels))
    assert RULES["handover"](method.statistics, 0.9).pos.isinf().tolist() == [False, True, True]


def test_quota_takes_as_many_of_the_unknown_as_the_known_suggest():
    """Of 40 unknown entries 10 are to be expected to be positive: a quarter of the known are."""
    labels = torch.zeros(60, 3, dtype=torch.int8)
    labels[:20, 0] = torch.tensor([1] * 5 + [-1] * 15)
    labels[:1, 1] = 1
    method = satl(labels, rule="quota")
    assert method.thresholds()["tau_pos"].isinf().all()
    logits = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    method.end_epoch(0, logits)
    pseudo = step(method, logits, labels).pseudo_labels
    assert (pseudo > 0).sum(0).tolist() == [10, 59, 0], "the third category has no known label"
    assert (pseudo < 0).sum(0).tolist() == [29, 0, 0], "0.998 of 30"
    ordered = logits[20:, 0].sort(descending=True).values
    assert method.thresholds()["tau_pos"][0] == ordered[9]
    assert method.thresholds()["tau_neg"][0] == ordered[11]


def test_images_that_an_epoch_left_out_do_not_count():
    scores = torch.tensor([[0.1], [torch.nan], [0.4], [0.3], [0.2]])
    thresholds = quota_thresholds(scores, torch.tensor([0.5]), keep_negative=1.0)
    assert thresholds.pos.item() == pytest.approx(0.3)
    assert thresholds.neg.item() == pytest.approx(0.2)


def test_no_positives_where_less_than_one_is_to_be_expected():
    """The published index is -1 there, and every entry turns positive."""
    thresholds = quota_thresholds(torch.rand(50, 1), torch.tensor([0.019]))
    assert thresholds.pos.item() == torch.inf
    assert thresholds.neg.item() < 1


def test_kth_smallest():
    values = torch.tensor([[3.0, 1.0, 5.0], [2.0, torch.nan, 4.0], [1.0, 0.0, 6.0]])
    k = torch.tensor([2.0, 0.0, torch.nan])
    assert kth_smallest(values, k).tolist() == [2.0, -torch.inf, -torch.inf]
