"""Methods made for one positive per image: WAN, EPR and the GR loss."""

import pytest
import torch
import torch.nn.functional as F
from loss_trial import LABELS, LOGITS, loss, method, step

from baselines.epr import EPR, expected_positive_penalty
from baselines.gr_loss import GRLoss, gr_terms
from baselines.wan import WAN
from satl.core.errors import UserError
from satl.losses import partial_bce
from satl.methods.parts.expected_positives import expected_positives


def test_wan_weighs_unknown_entries_little_and_known_negatives_fully():
    value = loss(method(WAN), 0, logits=torch.zeros(1, 4), labels=LABELS[:1])
    assert value == pytest.approx((2 + 2 / 3) * 0.6931 / 4, abs=1e-4)


def test_the_expected_positives_come_from_the_known_labels():
    labels = torch.tensor([[1, -1, 1, 0], [-1, -1, 1, 0], [0, 0, -1, 0]])
    # ½ + 0 + ⅔, and for the category without known labels the pooled share of 3 in 7.
    assert expected_positives(labels) == pytest.approx(1 / 2 + 2 / 3 + 3 / 7)
    assert method(EPR, labels=labels).expected == expected_positives(labels)
    assert method(EPR, labels=labels, expected=2.9).expected == 2.9


def test_without_known_negatives_epr_asks_for_the_number():
    single = torch.eye(4, dtype=torch.int8)
    with pytest.raises(UserError, match="`expected`"):
        method(EPR, labels=single)
    assert method(EPR, labels=single, expected=1.5).expected == 1.5


def test_epr_adds_the_penalty_to_partial_bce():
    losses = step(method(EPR, expected=1.5, weight=2), 0).losses
    assert losses["known"].item() == partial_bce(LOGITS, LABELS).item()
    expected = 2 * expected_positive_penalty(LOGITS, 1.5).item()
    assert losses["expected_positives"].item() == pytest.approx(expected)


@pytest.mark.parametrize(("epoch", "w", "centre", "width"), [(0, 0, 0.5, 2), (7, 2, 0.8, 0.5)])
def test_gr_loss_moves_from_its_first_to_its_last_values(epoch, w, centre, width):
    scores = torch.sigmoid(LOGITS)
    k, v = torch.sigmoid(w * scores - 2), torch.exp(-(((scores - centre) / width) ** 2) / 2)
    expected = gr_terms(LOGITS, LABELS, k, v, 0.01, 1.0).mean().item()
    assert loss(method(GRLoss), epoch) == pytest.approx(expected)


def test_gr_loss_in_its_limits():
    """q towards 0 is BCE, q = 1 the distance of the score."""
    unknown, one, zero = torch.zeros_like(LABELS), torch.ones_like(LOGITS), LOGITS * 0
    as_present = gr_terms(LOGITS, unknown, one, one, 1e-4, 1.0)
    torch.testing.assert_close(as_present, F.softplus(-LOGITS), atol=1e-2, rtol=0)
    as_absent = gr_terms(LOGITS, unknown, zero, one, 0.01, 1.0)
    torch.testing.assert_close(as_absent, torch.sigmoid(LOGITS))
