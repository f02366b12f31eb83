"""ROLE: the published loss, and estimates that are trained beside the network."""

from dataclasses import replace

import pytest
import torch
from conftest import golden
from trials import spec

from baselines.role import ROLE, role_loss
from satl.core.errors import UserError
from satl.methods.base import Context
from satl.training.engine import train
from satl.training.run import TrainingRun

LABELS = torch.tensor([[1, -1, 0], [0, 0, 1], [-1, 0, 0]], dtype=torch.int8)


def test_the_published_loss():
    recorded = golden("losses/single_positive_role")
    logits, estimated = (
        torch.from_numpy(recorded[name]).requires_grad_() for name in ("logits", "estimated_logits")
    )
    positives = torch.from_numpy(recorded["positives"])
    loss = role_loss(logits, estimated, positives, float(recorded["expected_num_pos"]))
    loss.backward()
    assert loss.item() == pytest.approx(float(recorded["loss"]), abs=2e-3)
    assert torch.allclose(logits.grad, torch.from_numpy(recorded["grad"]), atol=2e-3)
    grad = torch.from_numpy(recorded["grad_estimated"])
    assert torch.allclose(estimated.grad, grad, atol=2e-3)


def role(labels, **options):
    return ROLE(ROLE.Options(**options), Context(("a", "b", "c"), 5, 4, labels))


def test_estimates_start_from_the_known_labels():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    scores = role(LABELS).estimates.sigmoid()
    assert torch.equal(torch.get_rng_state(), state), "the network starts as for other methods"
    assert torch.allclose(scores[LABELS > 0], torch.tensor(0.995))
    assert torch.allclose(scores[LABELS < 0], torch.tensor(0.005))
    undecided = scores[LABELS == 0]
    assert (undecided - 0.5).abs().max() <= 0.1
    assert undecided.unique().numel() == 5


def test_the_expected_number_of_positives_is_of_known_labels_or_given():
    # Half of the known, none, all.
    assert role(LABELS).expected == pytest.approx(0.5 + 0 + 1)
    assert role(LABELS, expected=2.9).expected == 2.9
    with pytest.raises(UserError, match="give it as option `expected`"):
        role(LABELS.clamp(min=0))


def test_estimates_of_an_image_move_with_their_own_rate_and_do_not_decay(
    tmp_path, shared, observed, monkeypatch
):
    """In the first step Adam moves whatever has a gradient by the learning rate."""
    moves, rates = [], []
    real = TrainingRun.train_step

    def step(run, features, rows):
        before = run.method.estimates.detach().clone()
        real(run, features, rows)
        moved = (run.method.estimates - before).abs()
        moves.append((rows, moved.detach()))
        rates.append([group["lr"] for group in run.optimizer.param_groups])

    monkeypatch.setattr(TrainingRun, "train_step", step)
    once = shared.training.model_copy(update={"epochs": 1, "weight_decay": 0.1})
    train(replace(shared, training=once), [spec(observed, tmp_path / "run", "role")])
    rows, moved = moves[0]
    assert moved[rows].max().item() == pytest.approx(10 * once.learning_rate, rel=1e-3)
    others = torch.ones(len(moved), dtype=torch.bool)
    others[rows] = False
    assert not moved[others].any()
    assert rates[0] == pytest.approx([once.learning_rate, 10 * once.learning_rate])
