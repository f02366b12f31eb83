"""Backbones: their frozen part is cut, folded and left alone."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from satl.config import Model
from satl.core.errors import UserError
from satl.models.backbone import (
    build_backbone,
    build_network,
    check_backbone,
    initial_weights,
)
from satl.models.weights import renamed_by_order

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


TIMM = ("resnet10t", "mobilenetv3_small_050", "convnext_atto", "tf_efficientnet_lite0")


@pytest.mark.parametrize("name", TIMM)
@pytest.mark.parametrize("frozen", [None, "all", "none"])
def test_a_cut_network_of_timm_computes_what_the_whole_does(name, frozen):
    weights = initial_weights(name, "random")
    whole = build_network(name).eval()
    whole.load_state_dict(weights)
    images = torch.randn(2, 3, 64, 64)
    expected = whole.forward_intermediates(images, intermediates_only=True)[-1]
    backbone = build_backbone(name, weights, frozen)
    found = backbone.last.eval()(backbone.frozen(images))
    assert found.shape[1] == backbone.channels
    assert torch.allclose(found, expected, atol=1e-4)
    assert not any(p.requires_grad for p in backbone.frozen.parameters())
    assert bool(list(backbone.frozen.parameters())) == (frozen != "none")
    assert bool(list(backbone.last.parameters())) == (frozen != "all")


def test_inputs_are_scaled_as_the_backbone_wants_them():
    lite = build_backbone(
        "tf_efficientnet_lite0", initial_weights("tf_efficientnet_lite0", "random")
    )
    assert (lite.mean, lite.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    tiny = build_backbone("tiny", initial_weights("tiny", "random"))
    assert tiny.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"backbone": "resnet1010"}, r"unknown backbone 'resnet1010' \(did you mean 'resnet101'"),
        (
            {"backbone": "resnet50d.bt_in1k"},
            r"no weights 'bt_in1k' .*ra2_in1k",
        ),
        ({"backbone": "hrnet_w18_small"}, r"model\.frozen: hrnet_w18_small cannot be cut.*none"),
        ({"backbone": "swin_tiny_patch4_window7_224", "frozen": "layers_4"}, r"layers_2, layers_3"),
        ({"backbone": "resnet50", "frozen": "layer5"}, r"its stages are layer1, layer2, layer3"),
        ({"backbone": "convnext_atto", "frozen": "stages.9"}, r"'stages\.9'.*stages_0, stages_1"),
    ],
)
def test_what_cannot_be_cut_is_named(model, message):
    with pytest.raises(UserError, match=message):
        check_backbone(Model(weights="random", **model))


@pytest.mark.parametrize(
    ("name", "side", "message"),
    [
        ("vit_tiny_patch16_224", 100, r"a multiple of 16, such as 96 or 112, not 100"),
        ("swin_tiny_patch4_window7_224", 90, r"a multiple of 4, such as 88 or 92, not 90"),
        ("vit_tiny_patch16_224", 9, r"a multiple of 16, such as 16 or 32, not 9"),
        ("efficientformer_l1", 64, r"does not take images of 64 × 64 pixels; its own size is 224"),
    ],
)
def test_a_size_that_does_not_suit_is_named_with_one_that_does(name, side, message):
    model = Model(backbone=name, weights="random", frozen="all")
    with pytest.raises(UserError, match=message):
        check_backbone(model, side)
    check_backbone(model, 224)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_are_read_by_name_and_their_classifier_is_ignored(tmp_path, suffix):
    weights = initial_weights("resnet10t", "random", seed=3)
    del weights["fc.weight"], weights["bn1.num_batches_tracked"]
    path = tmp_path / f"w{suffix}"
    save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
    backbone = build_backbone("resnet10t", initial_weights("resnet10t", str(path)))
    assert torch.equal(backbone.frozen.conv1[0].weight, weights["conv1.0.weight"])


def test_what_does_not_belong_to_weights_is_named():
    weights = initial_weights("resnet10t", "random")
    weights["layer9.weight"] = weights.pop("layer2.0.conv1.weight")
    weights["layer1.0.conv1.weight"] = torch.zeros(1)
    with pytest.raises(UserError) as error:
        build_backbone("resnet10t", weights)
    for part in (
        "not weights of backbone 'resnet10t'", "missing: layer2.0.conv1.weight",
        "unknown: layer9.weight", "of another shape: layer1.0.conv1.weight (1,), not (64,",
    ):  # fmt: skip
        assert part in str(error.value)


def test_weights_of_other_names_are_loaded_by_their_order():
    ours = initial_weights("tf_efficientnet_lite0", "random")
    theirs = {
        f"other.{i}": value + 1
        for i, (key, value) in enumerate(ours.items())
        if not key.endswith("num_batches_tracked")
    }
    assert len(theirs) == 247
    found = renamed_by_order(theirs, ours)
    assert all(torch.equal(value, ours[key] + 1) for key, value in found.items())
    build_backbone("tf_efficientnet_lite0", found)
    first = next(iter(theirs))
    with pytest.raises(UserError, match=f"{first} .* stands where the network has conv_stem"):
        renamed_by_order({**theirs, first: torch.zeros(1)}, ours)


def test_the_backbones_of_the_documentation_are_right():
    page = Path(__file__).parents[2].joinpath("docs/extending.md").read_text(encoding="utf-8")
    section = page.split("\n## A backbone\n")[1].split("\n## ")[0]
    examples = [yaml.safe_load(e) for e in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)]
    assert len(examples) == 2
    for example in examples:
        side = example.get("training", {}).get("image_size")
        check_backbone(Model(**example["model"]), side)
