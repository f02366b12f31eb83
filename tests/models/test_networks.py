"""Every kind of network: its parts compute what timm's own network does, and learn what they may.

Images are smaller than those that the networks were made for.
"""

import copy
from dataclasses import dataclass, field
from math import isqrt

import pytest
import timm
import torch

from satl.config import Model
from satl.core.errors import UserError
from satl.methods.base import Context, Progress
from satl.methods.registry import method_class
from satl.models.backbone import build_backbone, build_network, initial_weights

# They are sequences of convolutional stages; their map is what timm's feature extractor gives,
# before a final norm or convolution (`conv_head`), as there.
EXTRACTED = (
    "timm/resnet18",
    "convnext_atto",
    "tf_efficientnet_lite0",
    "mobilenetv3_small_050",
    "maxvit_rmlp_pico_rw_256",
)
# By name: the side of the images, and a stage in its middle (None: it is used whole).
NETWORKS = {
    "timm/resnet18": (64, "layer2"),
    "convnext_atto": (64, "stages_1"),
    "tf_efficientnet_lite0": (64, "blocks_3"),
    "mobilenetv3_small_050": (64, "blocks_2"),
    "maxvit_rmlp_pico_rw_256": (64, "stages_1"),  # its windows follow the size of images
    "vit_tiny_patch16_224": (64, "blocks_7"),
    "deit_tiny_distilled_patch16_224": (64, "patch_embed"),  # two prefix tokens
    "vit_wee_patch16_reg1_gap_256.sbb_in1k": (64, "blocks_0"),  # a register, no class token
    "swin_tiny_patch4_window7_224": (64, "layers_1"),
    "swinv2_tiny_window8_256": (64, "layers.2"),
    "eva02_tiny_patch14_224": (56, "blocks_4"),  # its blocks take rotary embeddings
    "vit_small_patch16_dinov3": (64, "blocks_9"),  # so do these, and no others
    "vit_small_patch16_rope_mixed_224": (64, None),  # in each block others, which are learnt
    "hrnet_w18_small": (64, None),
}


def timms_own(name, weights, images):
    """What timm's network makes of images before it pools, as a map."""
    options = {"img_size": images.shape[-1]} if has_fixed_size(name) else {}
    plain = timm.create_model(name.removeprefix("timm/"), num_classes=0, **options)
    own = {key: weights[key] for key in plain.state_dict()}
    network = timm.create_model(
        name.removeprefix("timm/"), num_classes=0, pretrained=True,
        pretrained_cfg_overlay={"state_dict": own}, **options,
    ).eval()  # fmt: skip
    with torch.no_grad():
        if name in EXTRACTED:
            return network.forward_intermediates(images, intermediates_only=True)[-1]
        found = network.forward_features(images)
    if found.ndim == 3:
        found = found[:, network.num_prefix_tokens :]
        found = found.unflatten(1, (isqrt(found.shape[1]),) * 2)
    return found if found.shape[1] == network.num_features else found.permute(0, 3, 1, 2)


def has_fixed_size(name):
    return timm.get_pretrained_cfg(name.removeprefix("timm/")).fixed_input_size


@dataclass
class Case:
    name: str
    weights: dict
    images: torch.Tensor
    side: int
    middle: str | None
    built: dict = field(default_factory=dict)

    def cut(self, frozen):
        """The backbone; its parts are the same at each call, and not to be changed."""
        if frozen not in self.built:
            self.built[frozen] = build_backbone(self.name, self.weights, frozen, self.side)
        return self.built[frozen]


@pytest.fixture(scope="module", params=NETWORKS)
def case(request):
    """Name, weights, images, and the feature maps that are right."""
    name, (side, middle) = request.param, NETWORKS[request.param]
    weights = initial_weights(name, "random", seed=5)
    for key, value in weights.items():
        if "pos_embed" in key or "relative_position_bias" in key:  # nearly zero, at first
            value.normal_(generator=torch.Generator().manual_seed(6))
    images = torch.randn(2, 3, side, side)
    return Case(name, weights, images, side, middle)


def test_the_parts_compute_what_the_whole_network_does(case):
    expected = timms_own(case.name, case.weights, case.images)
    for frozen in ["all", "none", *([None, case.middle] if case.middle else [])]:
        backbone = case.cut(frozen)
        found = backbone.last.eval()(backbone.frozen(case.images))
        assert found.shape == (2, backbone.channels, *expected.shape[2:])
        assert torch.allclose(found, expected, atol=1e-4), frozen
        assert bool(list(backbone.frozen.parameters())) == (frozen != "none")
        assert not any(p.requires_grad for p in backbone.frozen.parameters())


def test_the_cut_is_where_it_was_asked_for(case):
    if case.middle is None:
        with pytest.raises(UserError, match=f"{case.name} cannot be cut .* set all .* or none"):
            case.cut(None)
    else:
        last, _ = list(case.cut(case.middle).frozen.named_children())[-1]
        assert last == case.middle.replace(".", "_")


def test_a_step_reaches_the_trained_part_alone(case):
    backbone = case.cut(case.middle or "none")
    before = copy.deepcopy(backbone.frozen.state_dict())
    kind, labels = method_class("satl"), torch.tensor([[1, 0, -1], [0, 1, 1]], dtype=torch.int8)
    method = kind(kind.Options(), Context(("a", "b", "c"), 2, 1, labels))
    section = Model(backbone="tiny", weights="random", feature_dim=6, attention_dim=4)
    model = method.build_model(backbone, torch.randn(3, 20), section).train()
    maps = backbone.frozen(case.images)
    assert not maps.requires_grad
    progress = Progress(0, 0, torch.arange(2), None)
    sum(method.step(model(maps), labels, progress).losses.values()).backward()
    assert any(p.grad is not None and p.grad.any() for p in model.last_stage.parameters())
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert all(torch.equal(v, before[k]) for k, v in backbone.frozen.state_dict().items())


def test_nothing_in_training_is_drawn_at_random(case):
    """Runs that are trained side by side share the global generator."""
    last = copy.deepcopy(case.cut("none").last).train()
    state = torch.random.get_rng_state()
    last(case.images)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_weights_of_another_network_are_refused(case):
    key = next(k for k, v in case.weights.items() if k.endswith("weight") and v.ndim > 1)
    bad = {**case.weights, key: case.weights[key][:1]}
    with pytest.raises(UserError, match=r"not weights of backbone"):
        build_backbone(case.name, bad, "all", case.side)
    bad = {("other." + k if k == key else k): v for k, v in case.weights.items()}
    with pytest.raises(UserError, match=rf"missing: .*; unknown: other\.{key}"):
        build_backbone(case.name, bad, "all", case.side)


def test_weights_of_another_size_of_images_are_resized():
    """Such as those that were pre-trained on single glyphs: 2 × 2 patches, then 4 × 4."""
    weights = build_network("test_vit", 5, image_size=32).state_dict()
    weights["pos_embed"] = torch.zeros(1, 5, 64)
    weights["pos_embed"][:, 1:] = torch.tensor([0.0, 1.0, 2.0, 3.0])[None, :, None]
    embedding = build_backbone("test_vit", weights, "all", 64).frozen.patch_embed.network
    found = embedding.pos_embed[0, 1:, 0].view(4, 4)
    assert torch.allclose(found.mean(), torch.tensor(1.5), atol=1e-5)
    assert (found.diff(dim=0) > 0).all() and (found.diff(dim=1) > 0).all()
