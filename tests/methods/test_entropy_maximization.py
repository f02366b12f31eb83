"""Entropy maximisation: the published losses, and the soft negatives over the epochs."""

import pytest
import torch
from conftest import golden

from baselines.entropy_maximization import EntropyMaximization, apl_terms, entropy_terms
from satl.methods.base import Context, Progress
from satl.models.outputs import Outputs


def published(name):
    recorded = golden(f"losses/{name}")
    logits = torch.from_numpy(recorded["logits"]).requires_grad_()
    labels = torch.from_numpy(recorded["labels"])
    return recorded, logits, labels


def agrees(loss, logits, recorded):
    loss.backward()
    assert loss.item() == pytest.approx(float(recorded["loss"]), abs=2e-3)
    assert torch.allclose(logits.grad, torch.from_numpy(recorded["grad"]), atol=2e-3)


def test_the_published_entropy_loss():
    recorded, logits, labels = published("entropy_EM")
    agrees(entropy_terms(logits, labels, float(recorded["alpha"])).mean(), logits, recorded)


def test_the_published_asymmetric_pseudo_labels():
    recorded, logits, labels = published("entropy_EM_APL")
    soft = (labels < 0) & (labels > -1)
    assert soft.any()
    known, targets = labels.masked_fill(soft, 0), -labels * soft
    weights = float(recorded["alpha"]), float(recorded["beta"])
    agrees(apl_terms(logits, known, targets, *weights).mean(), logits, recorded)


def step(method, logits, labels, epoch):
    outputs = Outputs(logits, torch.zeros(*logits.shape, 1), classify=lambda features: features)
    return method.step(outputs, labels, Progress(epoch, 0, torch.arange(len(logits)), None))


@pytest.fixture
def labels():
    labels = torch.zeros(20, 2, dtype=torch.int8)
    labels[0, 0], labels[:8, 1] = 1, -1
    return labels


def test_the_lowest_scores_become_soft_negatives_for_good(labels):
    options = EntropyMaximization.Options(asymmetric_pseudo_labels=True, warmup=0.5)
    method = EntropyMaximization(options, Context(("a", "b"), 6, 4, labels))
    torch.manual_seed(0)
    logits = torch.randn(20, 2)
    method.end_epoch(1, logits)
    assert not method.soft_negatives.any()
    before = method.soft_negatives.clone()
    for epoch, expected in ((2, [5, 3]), (3, [10, 6]), (4, [15, 9])):
        logits = torch.randn(20, 2)
        method.end_epoch(epoch, logits)
        soft = method.soft_negatives
        # 0.9 · 19 / 3 and 0.9 · 12 / 3 an epoch.
        assert (soft > 0).sum(0).tolist() == expected
        new = (soft > 0) & (before == 0)
        left = (labels == 0) & (soft == 0)
        assert torch.equal(soft[new], logits.sigmoid()[new])
        assert torch.equal(soft[before > 0], before[before > 0])
        for c in range(2):
            assert logits[new[:, c], c].max() < logits[left[:, c], c].min()
        before = soft.clone()
    result = step(method, logits, labels, epoch=5)
    assert torch.equal(result.pseudo_labels < 0, soft > 0)
    assert not (result.pseudo_labels > 0).any()


def test_images_that_an_epoch_left_out_become_none(labels):
    options = EntropyMaximization.Options(asymmetric_pseudo_labels=True, warmup=0, share=1)
    method = EntropyMaximization(options, Context(("a", "b"), 1, 4, labels))
    logits = torch.randn(20, 2)
    logits[3:6] = torch.nan
    method.end_epoch(0, logits)
    seen = (labels == 0) & ~logits.isnan()
    assert torch.equal(method.soft_negatives > 0, seen)


def test_losses_are_means_over_all_entries(labels):
    method = EntropyMaximization(
        EntropyMaximization.Options(alpha=0.3), Context(("a", "b"), 6, 4, labels)
    )
    logits = torch.randn(20, 2)
    losses = step(method, logits, labels, epoch=5).losses
    terms = entropy_terms(logits, labels, 0.3)
    assert losses["known"].item() == pytest.approx(terms[labels != 0].sum().item() / 40)
    assert losses["unknown"].item() == pytest.approx(terms[labels == 0].sum().item() / 40)
    assert losses["unknown"] < 0
