import pytest
import torch
from conftest import golden
from graph_trial import GraphTrial

from baselines.sarb import SARB, blend_instances, one_unknown
from satl.losses import partial_bce


def test_golden_instance_blend():
    g = {key: torch.from_numpy(value) for key, value in golden("sarb_instance_blend").items()}
    features, labels = blend_instances(g["features"], g["labels"], float(g["alpha"]))
    assert torch.allclose(features, g["mixed_features"], rtol=0, atol=1e-6)
    assert torch.allclose(labels, g["mixed_labels"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_instance_blend_image_by_image(alpha):
    torch.manual_seed(0)
    features, labels = torch.randn(5, 4, 3), torch.randint(-1, 2, (5, 4), dtype=torch.int8)
    mixed, targets = blend_instances(features, labels, torch.tensor(alpha))
    for b in range(5):
        for c in range(4):
            feature, label = features[b, c], float(labels[b, c])
            if label == 0 and labels[4 - b, c] == 1:
                feature = alpha * feature + (1 - alpha) * features[4 - b, c]
                label = 1 - alpha
            assert torch.allclose(mixed[b, c], feature, atol=1e-6)
            assert targets[b, c].item() == label


def test_one_unknown_category_in_each_image_that_has_one():
    labels = torch.tensor([[0, 0, 1], [1, -1, 1], [0, -1, 0]], dtype=torch.int8)
    allowed = torch.tensor([True, True, False])
    generator = torch.Generator().manual_seed(0)
    chosen = torch.stack([one_unknown(labels, allowed, generator) for _ in range(60)])
    assert (chosen.sum(2) == torch.tensor([1, 0, 1])).all()
    share = chosen.float().mean(0)
    assert share[0, 0] == pytest.approx(0.5, abs=0.2)
    assert share[2].tolist() == [1, 0, 0]


def test_prototypes_are_blended_in():
    trial = GraphTrial(SARB)
    losses = trial.step(epoch=5).losses
    assert losses.keys() == {"known", "contrastive", "instances", "prototypes"}
    features, labels = trial.outputs.features.detach(), trial.labels
    others, chosen = trial.method.choose_prototypes(trial.outputs, labels, trial.progress(5))
    assert chosen.any()
    for b, c in chosen.nonzero().tolist():
        # A category has fewer positives here than centres: each is a centre of its own.
        own = features[labels[:, c] > 0, c]
        assert torch.isclose(own, others[b, c], atol=1e-5).all(1).any()


def test_nothing_is_blended_without_prototypes_or_before_epoch_5():
    trial = GraphTrial(SARB)
    assert trial.step(epoch=4).losses.keys() == {"known", "contrastive"}
    losses = trial.step(epoch=6).losses  # renewals are in epochs 5, 10 and 15
    assert not trial.method.prototypes.centres.any()
    assert losses["prototypes"].item() == pytest.approx(losses["known"].item(), rel=1e-5)
    assert trial.step(epoch=10).losses["prototypes"] != losses["prototypes"]


def test_alpha_and_beta_are_trained_and_stay_in_the_unit_interval():
    trial = GraphTrial(SARB)
    losses = trial.step(epoch=5).losses
    gradients = torch.autograd.grad(sum(losses.values()), [trial.method.alpha, trial.method.beta])
    assert all(g != 0 for g in gradients)
    with torch.no_grad():
        trial.method.alpha.fill_(1.2)
        trial.method.beta.fill_(-0.1)
    losses = trial.step(epoch=6, step=1).losses
    assert (trial.method.alpha.item(), trial.method.beta.item()) == (1, 0)
    # At α = 1 nothing of the partner comes in.
    known = partial_bce(trial.outputs.logits, trial.labels)
    assert losses["instances"].item() == pytest.approx(known.item(), rel=1e-5)
