"""SR-ST, and SATL with its option: pseudo-labels of one view, their loss on the other."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from baselines.sr_st import SRST
from satl.losses import partial_bce
from satl.methods.base import Context, Progress
from satl.methods.satl import SATL
from satl.models.backbone import build_backbone, initial_weights
from satl.models.class_map_net import ClassMapNet, pooled
from satl.models.outputs import Outputs

LABELS = torch.tensor([[1, 0, 0], [-1, 0, 0]], dtype=torch.int8)
CONTEXT = Context(tuple("abc"), 10, 4, LABELS)


def outputs(logits):
    return Outputs(logits, torch.zeros(*logits.shape, 1), classify=lambda features: features)


def step(method, weak, strong):
    shown = replace(outputs(weak), strong=outputs(strong))
    return method.step(shown, LABELS, Progress(5, 0, torch.arange(2), None))


@pytest.fixture
def views():
    weak = torch.logit(torch.tensor([[0.9, 0.61, 0.59], [0.1, 0.39, 0.41]])).requires_grad_()
    return weak, torch.randn(2, 3, requires_grad=True)


def test_the_strong_view_learns_what_the_weak_one_is_sure_of(views):
    weak, strong = views
    result = step(SRST(SRST.Options(), CONTEXT), weak, strong)
    assert result.pseudo_labels.tolist() == [[0, 1, 0], [0, -1, 0]]
    assert result.losses["known"].item() == pytest.approx(partial_bce(weak, LABELS).item())
    expected = (F.softplus(-strong[0, 1]) + F.softplus(strong[1, 1])) / 2
    assert result.losses["pseudo"].item() == pytest.approx(expected.item())
    result.losses["pseudo"].backward()
    assert weak.grad is None, "targets carry no gradient"
    assert strong.grad.any()


def test_satl_takes_the_loss_of_its_pseudo_labels_from_the_strong_view(views):
    weak, strong = views
    options = {"rule": "fixed", "q": 0.6, "pseudo_weight": 1}
    plain = SATL(SATL.Options(**options), CONTEXT).step(
        outputs(weak), LABELS, Progress(5, 0, torch.arange(2), None)
    )
    method = SATL(SATL.Options(**options, strong_view=True), CONTEXT)
    result = step(method, weak, strong)
    assert torch.equal(result.pseudo_labels, plain.pseudo_labels)
    assert result.losses["known"].item() == plain.losses["known"].item()
    expected = (F.softplus(-strong[0, 1]) + F.softplus(strong[1, 1])) / 2
    assert result.losses["pseudo"].item() == pytest.approx(expected.item())
    assert plain.losses["pseudo"].item() != pytest.approx(expected.item())
    assert not SATL.wants_strong_view(SATL.Options())


def test_logits_are_the_mean_of_a_map_and_of_its_peak():
    maps = torch.randn(2, 3, 49)
    highest = maps.sort(2, descending=True).values[..., :5]
    expected = maps.mean(2) + 0.5 * highest.mean(2)
    assert torch.allclose(pooled(maps, top=5, weight=0.5), expected, atol=1e-6)
    few = torch.randn(2, 3, 4)
    assert torch.allclose(pooled(few, top=5, weight=0.5), 1.5 * few.mean(2), atol=1e-6)


def test_features_are_the_maps_that_are_classified():
    backbone = build_backbone("tiny", initial_weights("tiny", "random"))
    network = ClassMapNet(backbone, categories=3, top=5, weight=0.5)
    shown = network(backbone.frozen(torch.randn(2, 3, 64, 64)))
    assert torch.allclose(shown.classify(shown.features), shown.logits)
