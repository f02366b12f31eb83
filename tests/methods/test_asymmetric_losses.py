"""ASL, partial ASL, CSL, Hill and SPLC: their limits and schedules."""

import pytest
import torch
import torch.nn.functional as F
from loss_trial import LABELS, LOGITS, loss, method, step

from baselines.asl import ASL
from baselines.csl import CSL, ignored_unknown
from baselines.hill import Hill
from baselines.partial_asl import PartialASL
from baselines.splc import SPLC, splc_terms
from satl.losses import partial_bce


def test_without_focus_and_clip_asl_is_bce():
    plain = {"gamma_pos": 0, "gamma_neg": 0, "clip": 0}
    absent = torch.where(LABELS > 0, 1.0, 0.0)
    expected = F.binary_cross_entropy_with_logits(LOGITS, absent).item()
    assert loss(method(ASL, **plain), 0) == pytest.approx(expected)
    expected = partial_bce(LOGITS, LABELS).item()
    assert loss(method(PartialASL, **plain), 0) == pytest.approx(expected)


def test_an_absent_entry_below_the_clip_costs_nothing():
    free = torch.full((1, 4), -3.0, requires_grad=True)  # a score of 0.047
    value = step(method(ASL), 0, free, torch.zeros(1, 4)).losses["known_and_assumed"]
    value.backward()
    assert value.item() == 0
    assert not free.grad.any()


def test_csl_ignores_all_unknown_labels_until_the_warm_up_is_over():
    csl, partial = method(CSL, warmup=0.25, likely=1), loss(method(PartialASL), 0)
    assert [loss(csl, epoch) == pytest.approx(partial) for epoch in (0, 1, 2)] == [1, 1, 0]
    assert loss(method(CSL, mode="ignore"), 7) == pytest.approx(partial)


def test_csl_ignores_frequent_categories_by_the_scores_of_the_epoch_before():
    csl = method(CSL, warmup=0.25, likely=0)
    train_logits = torch.tensor([[9.0, -9.0, 0.1, -9.0], [9.0, -9.0, torch.nan, 9.0]])
    csl.end_epoch(1, train_logits)
    torch.testing.assert_close(csl.prior, torch.tensor([1, 0, 0.525, 0.5]), atol=2e-3, rtol=0)
    ignored = ignored_unknown(LOGITS, LABELS, csl.prior, 0.5, 0, 0.0)
    # The first and third column; 0.5 does not exceed η.
    assert ignored.int().tolist() == [[0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0]]


def test_csl_ignores_the_likeliest_unknown_entries_of_a_batch():
    ignored = ignored_unknown(LOGITS, LABELS, None, 0.5, 3, 0.0)
    assert ignored.int().tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert torch.equal(ignored_unknown(LOGITS, LABELS, None, 0.5, 99, 0.0), LABELS == 0)


def test_csl_takes_k_entries_per_image_and_averages_over_the_rest():
    every, none = {"likely": 9, "warmup": 0}, {"likely": 0, "warmup": 0}
    assert loss(method(CSL, **every), 0) == pytest.approx(loss(method(PartialASL), 0))
    assert loss(method(CSL, **none), 0) == loss(method(CSL, mode="negative"), 0)


def test_hill_forgives_what_is_certainly_present():
    """The loss of an absent entry grows up to p = λ·2/3, and falls behind it."""
    values = [
        loss(method(Hill, lamb=1.2), 0, logits=torch.full((1, 4), x), labels=LABELS[1:2] * 0)
        for x in (-2.0, 1.386, 6.0)
    ]
    assert values[0] < values[1] > values[2]


def test_splc_turns_unknown_labels_of_high_score_present_from_the_second_epoch_on():
    splc = method(SPLC)
    assert step(splc, 0).pseudo_labels is None
    result = step(splc, 1)
    assert result.pseudo_labels.tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1]]
    targets = torch.where(result.pseudo_labels > 0, 1, LABELS.sign())
    present, shifted = targets > 0, LOGITS - (LABELS > 0).float()
    p = torch.sigmoid(shifted)
    terms = torch.where(present, -((1 - p) ** 2) * p.log(), -(p**2) * (1 - p).log())
    assert result.losses["known_and_assumed"].item() == pytest.approx(terms.mean().item())


def test_splc_overrules_a_label_known_to_be_absent_only_if_told_so():
    """σ(5) > τ in an entry known to be absent."""
    kept, published = (step(method(SPLC, correct_known=known), 1) for known in (False, True))
    assert kept.losses["known_and_assumed"] > published.losses["known_and_assumed"] + 0.3
    assert torch.equal(kept.pseudo_labels, published.pseudo_labels)
    args = (0.6, 1.0, 2.0)
    expected = splc_terms(LOGITS, LABELS, True, *args).mean()
    assert published.losses["known_and_assumed"].item() == expected.item()
