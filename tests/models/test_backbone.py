"""Backbones: their frozen part is cut, folded and left alone."""

import pytest
import torch

from satl.models.backbone import build_backbone, build_network, initial_weights

STAGES = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")


def trained_like(name):
    """Random weights with running statistics that are not those of a fresh network."""
    weights = initial_weights(name, "random")
    generator = torch.Generator().manual_seed(1)
    for key, value in weights.items():
        if key.endswith(("running_mean", "bn1.bias", "bn2.bias", "downsample.1.bias")):
            value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
        elif key.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return weights


@pytest.mark.parametrize("name", ["tiny", "resnet18", "resnet50"])
def test_folded_batch_norm_gives_the_same_maps(name):
    weights = trained_like(name)
    network = build_network(name)
    network.load_state_dict(weights)
    network.eval()
    images = torch.randn(2, 3, 64, 64)
    expected = images
    with torch.no_grad():
        for stage in STAGES:
            expected = getattr(network, stage)(expected)
    frozen = build_backbone(name, weights).frozen
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in frozen.modules())
    assert not any(p.requires_grad for p in frozen.parameters())
    found = frozen(images)
    assert not found.requires_grad
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_the_last_stage_keeps_its_batch_norm():
    last = build_backbone("resnet18", initial_weights("resnet18", "random")).last
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in last.modules())
