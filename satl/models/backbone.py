"""Backbones, cut into a frozen part and the last stages, which methods train.

Which networks there are, and how each is built, is in satl.models.networks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from satl.config import Model
from satl.config.explain import suggestion
from satl.core.errors import UserError
from satl.core.seeds import derive_seed
from satl.models.networks import (
    OWN,
    build_network,
    build_stages,
    input_statistics,
    stage_names,
)
from satl.models.networks.stages import IMAGENET_MEAN, IMAGENET_STD, StageNames, in_sequence
from satl.models.networks.timm_create import check_hub
from satl.models.weights import load_weights

__all__ = [
    "Backbone", "build_backbone", "build_network", "check_backbone", "initial_weights",
    "input_statistics", "load_weights",
]  # fmt: skip


@dataclass(frozen=True)
class Backbone:
    """`frozen` (stem … layer3) is shared and in eval mode; `last` (layer4) is to be copied.

    What passes from one to the other is the network's own affair: feature maps, or tokens.

    Attributes:
        channels: of the feature map (B, channels, H, W) behind `last`.
        mean, std: per channel, of images in 0..1: what the inputs of `frozen` are scaled by.
    """

    frozen: nn.Module
    last: nn.Module
    channels: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def initial_weights(name: str, source: str, seed: int = 0) -> dict[str, Tensor]:
    """The state_dict that training starts from.

    Args:
        name: the backbone, as in the config.
        source: `random`, or the path of a state_dict (ImageNet's is downloaded beforehand).
        seed: of the random initialisation.

    Raises:
        UserError: no such backbone, no such file, or not a state_dict.
    """
    if source == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "backbone"))
            return build_network(name).state_dict()
    return load_weights(Path(source))


def build_backbone(
    name: str,
    weights: dict[str, Tensor],
    frozen: str | None = None,
    image_size: int | None = None,
) -> Backbone:
    """Cut the network after a stage and freeze the first part.

    Args:
        name: the backbone, as in the config.
        weights: a state_dict of the whole network; its classifier is ignored.
        frozen: the last frozen stage, `all` or `none`; None: all stages but the last.
        image_size: side of the images, which matters to transformers; None: the network's own.

    Raises:
        UserError: there is no such network or stage, `weights` are not those of this network, or
            it takes no images of this size.
    """
    stages = build_stages(name, image_size, weights)
    count = frozen_count(stages.names, name, frozen)
    parts = list(stages.modules.items())
    first: nn.Module = in_sequence(dict(parts[:count])).requires_grad_(False).eval()
    if name in OWN:
        first = fold_batch_norm(first)
    last = parts[count][1] if len(parts) == count + 1 else in_sequence(dict(parts[count:]))
    return Backbone(first, last, stages.channels, *input_statistics(name))


def frozen_count(stages: StageNames, name: str, frozen: str | None) -> int:
    """How many of a network's modules are frozen. Raises UserError that names the stages."""
    if frozen in ("all", "none"):
        return len(stages.modules) if frozen == "all" else 0
    if not stages.cuts:
        raise UserError(
            f"model.frozen: {name} cannot be cut into frozen and trained stages: set all (the "
            "whole network is frozen) or none (it is trained whole), or choose another network, "
            "such as convnext_tiny, swin_tiny_patch4_window7_224 or vit_small_patch16_224"
        )
    if frozen is None:
        return stages.modules.index(stages.cuts[-2]) + 1
    cut = frozen.replace(".", "_")
    if cut not in stages.cuts:
        raise UserError(
            f"model.frozen: {name} has no stage {frozen!r}{suggestion(cut, stages.cuts)}; its "
            f"stages are {', '.join(stages.cuts)} (or all, or none)"
        )
    return stages.modules.index(cut) + 1


def check_backbone(model: Model, image_size: int | None = None) -> None:
    """Check what the section says, before any weights are there.

    Raises:
        UserError: there is no such backbone or stage, it takes no images of this size, or timm's
            hub has no weights of it.
    """
    stages = stage_names(model.backbone, image_size)
    frozen_count(stages, model.backbone, model.frozen)
    if model.weights == "hub":
        check_hub(model.backbone)


def fold_batch_norm(stages: nn.Module) -> nn.Module:
    """Merge each frozen batch norm into the convolution before it: the same map, less to do.

    Args:
        stages: in evaluation mode, with torchvision's names (`conv1` before `bn1`, and the
            `downsample` pair); changed in place.
    """
    for module in stages.modules():
        names: dict[str, Any] = dict(module.named_children())
        pairs = [(n, n.replace("conv", "bn")) for n in names if n.startswith("conv")]
        if isinstance(names.get("0"), nn.Conv2d):
            pairs.append(("0", "1"))
        for convolution, norm in pairs:
            setattr(module, convolution, fuse_conv_bn_eval(names[convolution], names[norm]))
            setattr(module, norm, nn.Identity())
    return stages
