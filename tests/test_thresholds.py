import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from satl.threshold_rules import RULES, gaussian_thresholds
from satl.thresholds import ScoreStatistics, Thresholds, pseudo_labels


def filled(seed=0, rows=400, categories=4, decay=1.0):
    """Statistics of categories whose positives score about 2 above the negatives."""
    rng = torch.Generator().manual_seed(seed)
    statistics = ScoreStatistics(categories, decay)
    labels = (torch.rand(rows, categories, generator=rng) < 0.3).int() * 2 - 1
    logits = torch.randn(rows, categories, generator=rng) + labels + torch.arange(categories)
    statistics.update(logits, labels)
    return statistics, logits, labels


def test_decayed_sums_follow_their_recursion():
    torch.manual_seed(0)
    statistics, decay = ScoreStatistics(3, 0.9), 0.9
    n, total, squares = np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3))
    for _ in range(5):
        logits, labels = torch.randn(6, 3), torch.randint(-1, 2, (6, 3))
        statistics.update(logits, labels)
        for side, sign in enumerate((1, -1)):
            z, chosen = logits.numpy(), (labels == sign).numpy()
            n[side] = decay * n[side] + chosen.sum(0)
            total[side] = decay * total[side] + (z * chosen).sum(0)
            squares[side] = decay * squares[side] + (z**2 * chosen).sum(0)
    assert statistics.n.numpy() == pytest.approx(n, rel=1e-5)
    assert statistics.sum.numpy() == pytest.approx(total, rel=1e-4, abs=1e-5)
    assert statistics.sum_squares.numpy() == pytest.approx(squares, rel=1e-4)


def test_a_batch_without_a_category_keeps_its_mean():
    statistics, _, _ = filled(decay=0.5)
    before = statistics.sum / statistics.n
    statistics.update(torch.randn(5, 4), torch.zeros(5, 4))
    assert torch.allclose(statistics.sum / statistics.n, before, atol=1e-6)


def test_moments_shrink_towards_the_pooled_ones():
    statistics, logits, labels = filled()
    statistics.n[:, 0] = statistics.sum[:, 0] = statistics.sum_squares[:, 0] = 0
    rest = labels[:, 1:] > 0
    pooled = logits[:, 1:][rest].mean().item()
    moments = statistics.moments()
    assert moments.mu_pos[0].item() == pytest.approx(pooled, abs=1e-3)
    own = logits[labels[:, 2] > 0, 2]
    n = len(own)
    assert moments.mu_pos[2].item() == pytest.approx(
        (own.sum().item() + 2 * pooled) / (n + 2), abs=1e-3
    )


def test_posterior_thresholds_are_where_the_gaussian_posterior_reaches_q():
    statistics, _, _ = filled()
    moments, q = statistics.moments(), 0.95
    found = gaussian_thresholds(moments, q, prior_pos=True, prior_neg=True)
    sd = moments.shared_var.sqrt()
    for tau, positive in ((found.pos, True), (found.neg, False)):
        like_pos = moments.prior * Normal(moments.mu_pos, sd).log_prob(tau).exp()
        like_neg = (1 - moments.prior) * Normal(moments.mu_neg, sd).log_prob(tau).exp()
        posterior = (like_pos if positive else like_neg) / (like_pos + like_neg)
        assert torch.allclose(posterior, torch.full_like(posterior, q), atol=1e-4)


def test_the_default_rule_has_no_prior_on_the_negative_side():
    statistics, _, _ = filled()
    moments = statistics.moments()
    found = RULES["posterior"](statistics, 0.95)
    gap, middle = moments.mu_pos - moments.mu_neg, (moments.mu_pos + moments.mu_neg) / 2
    expected = middle - moments.shared_var / gap * math.log(0.95 / 0.05)
    assert torch.allclose(found.neg, torch.minimum(expected, found.pos), atol=1e-5)
    assert (found.neg > RULES["symmetric"](statistics, 0.95).neg - 10).all()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_gives_ordered_thresholds_for_every_category(rule):
    statistics, logits, labels = filled()
    labels[::2] = 0
    statistics.epoch.end(logits, labels)
    found = RULES[rule](statistics, 0.9)
    assert found.pos.shape == found.neg.shape == (4,)
    assert (found.neg <= found.pos).all()
    assert torch.isfinite(found.pos).all()


def test_rules_differ_as_their_names_say():
    statistics, _, _ = filled()
    moments = statistics.moments()
    assert torch.equal(RULES["means"](statistics, 0.9).pos, moments.mu_pos)
    crossing = RULES["crossing"](statistics, 0.9)
    assert torch.allclose(crossing.pos, crossing.neg)
    one = RULES["global"](statistics, 0.9)
    assert one.pos.unique().numel() == 1
    assert RULES["likelihood"](statistics, 0.9).pos[0] < RULES["posterior"](statistics, 0.9).pos[0]


def test_precision_rule_reaches_the_precision_it_promises():
    statistics, logits, labels = filled(rows=4000)
    found = RULES["precision"](statistics, 0.9)
    for c in range(4):
        chosen = labels[logits[:, c] >= found.pos[c], c]
        assert (chosen > 0).float().mean() >= 0.89
        rejected = labels[logits[:, c] < found.neg[c], c]
        assert (rejected < 0).float().mean() >= 0.89


@pytest.mark.parametrize("rule", ["posterior", "crossing", "symmetric", "means", "global"])
def test_scores_that_do_not_separate_give_no_thresholds(rule):
    statistics = ScoreStatistics(2, 1.0)
    statistics.update(torch.zeros(4, 2), torch.tensor([[1, -1]] * 2 + [[-1, 1]] * 2))
    found = RULES[rule](statistics, 0.95)
    assert (found.pos == math.inf).all()
    assert (found.neg == -math.inf).all()


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "fixed"])
def test_empty_statistics_make_no_pseudo_labels(rule):
    statistics = ScoreStatistics(3, 0.9)
    thresholds = RULES[rule](statistics, 0.95)
    pseudo = pseudo_labels(torch.randn(5, 3) * 9, torch.zeros(5, 3), thresholds)
    assert not pseudo.any()


def test_pseudo_labels_fill_only_the_unknown():
    thresholds = Thresholds(pos=torch.tensor([1.0, 1.0]), neg=torch.tensor([-1.0, -1.0]))
    logits = torch.tensor([[2.0, -2.0], [0.0, 1.0], [9.0, -9.0]])
    labels = torch.tensor([[0, 0], [0, 0], [-1, 1]])
    assert pseudo_labels(logits, labels, thresholds).tolist() == [[1, -1], [0, 1], [0, 0]]
