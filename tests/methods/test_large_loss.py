"""Large loss and BoostLU: what is taken for a hidden positive, and for how long."""

import pytest
import torch
from loss_trial import LABELS, LOGITS, loss, method, step

from baselines.boost_lu import BoostedNet
from baselines.large_loss import LargeLoss, large_loss_terms
from satl.losses import bce_terms
from satl.models.backbone import build_backbone, initial_weights
from satl.models.decoupling_net import SemanticDecouplingNet


def test_large_loss_leaves_the_first_epoch_alone():
    plain = bce_terms(LOGITS, torch.where(LABELS > 0, 1, -1)).mean().item()
    for scheme in ("reject", "correct", "correct_permanently"):
        assert loss(method(LargeLoss, scheme=scheme, delta=0.5), 0) == pytest.approx(plain)
        assert loss(method(LargeLoss, scheme=scheme, delta=0.5), 1) < 0.8 * plain


def test_large_loss_grows_by_delta_each_epoch_unless_it_is_permanent():
    growing, permanent = (
        method(LargeLoss, scheme=scheme, delta=0.3) for scheme in ("reject", "correct_permanently")
    )
    assert [growing.share(epoch) for epoch in (0, 1, 2, 9)] == [0, 0.3, 0.6, 1]
    assert [permanent.share(epoch) for epoch in (0, 1, 2, 9)] == [0, 0.3, 0.3, 0.3]


@pytest.mark.parametrize("scheme", ["reject", "correct", "correct_permanently"])
def test_large_loss_never_touches_known_labels(scheme):
    """Published code does, once it takes more entries than are unknown."""
    terms = large_loss_terms(LOGITS, LABELS, 0.9, scheme)
    known = LABELS != 0
    assert torch.equal(terms[known], bce_terms(LOGITS, LABELS)[known])
    full = torch.where(LABELS > 0, 1, -1)
    assert torch.equal(large_loss_terms(LOGITS, full, 1.0, scheme), bce_terms(LOGITS, full))


def test_permanent_corrections_stay_with_their_images():
    # A quarter of 12 entries: 4.0 and 3.0 lie above the smallest of the three, 2.5.
    permanent = method(LargeLoss, scheme="correct_permanently", delta=0.25)
    first = step(permanent, 1).pseudo_labels
    assert first.tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert permanent.made_present.int().tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    # The scores have fallen, yet the label stands; it is no candidate any more.
    low = torch.full((1, 4), -9.0)
    again = step(permanent, 2, low, LABELS[:1], rows=(0,))
    assert again.pseudo_labels.tolist() == [[0, 1, 0, 1]]
    once = step(method(LargeLoss, scheme="correct", delta=0.25), 1)
    assert torch.equal(once.pseudo_labels, first)
    assert "made_present" in permanent.state_dict()


@pytest.fixture
def nets():
    torch.manual_seed(0)
    backbone, words = build_backbone("tiny", initial_weights("tiny", "random")), torch.randn(4, 20)
    trunk = SemanticDecouplingNet(backbone, words, 12, 6)
    boosted = BoostedNet(backbone, words, 12, 6, alpha=1.0)
    boosted.load_state_dict(trunk.state_dict())
    maps = backbone.frozen(torch.randn(3, 3, 32, 32))
    return trunk.eval(), boosted.eval(), maps


def test_without_boost_the_network_is_the_trunk(nets):
    trunk, boosted, maps = nets
    torch.testing.assert_close(boosted(maps).logits, trunk(maps).logits)


def test_boosted_logits_are_attended_means_of_boosted_class_maps(nets):
    trunk, boosted, maps = nets
    boosted.alpha = 5.0
    positions = trunk.project(trunk.last_stage(maps)).flatten(2).transpose(1, 2)
    attention = trunk.decoupling.attention(positions, trunk.word_embeddings)
    class_maps = positions @ trunk.classifier.weight.T
    assert 0 < (class_maps > 0).float().mean() < 1
    means = (attention * torch.where(class_maps > 0, 5 * class_maps, class_maps)).sum(1)
    outputs = boosted(maps)
    torch.testing.assert_close(outputs.logits, means + trunk.classifier.bias)
    torch.testing.assert_close(outputs.classify(outputs.features), outputs.logits)
    weight = trunk.classifier.weight
    expected = torch.autograd.grad(means.sum(), weight)[0]
    got = torch.autograd.grad(outputs.logits.sum(), boosted.classifier.weight)[0]
    torch.testing.assert_close(got, expected)
