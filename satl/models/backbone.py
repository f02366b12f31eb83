"""Convolutional backbones, cut into a frozen part and the last stages, which methods train.

Which networks there are, and how each is built, is in backbone_networks.py.
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
from satl.models.backbone_networks import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    OWN,
    Stages,
    build_network,
    build_stages,
    in_sequence,
    input_statistics,
    whole_names,
)
from satl.models.weights import load_by_name, load_weights

__all__ = [
    "Backbone", "build_backbone", "build_network", "check_backbone", "initial_weights",
    "input_statistics", "load_weights",
]  # fmt: skip


@dataclass(frozen=True)
class Backbone:
    """`frozen` (stem … layer3) is shared and in eval mode; `last` (layer4) is to be copied.

    Attributes:
        channels: of the feature map behind `last`.
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


def build_backbone(name: str, weights: dict[str, Tensor], frozen: str | None = None) -> Backbone:
    """Cut the network after a stage and freeze the first part.

    Args:
        name: the backbone, as in the config.
        weights: a state_dict of the whole network; its classifier is ignored.
        frozen: the last frozen stage, `all` or `none`; None: all stages but the last.

    Raises:
        UserError: there is no such network or stage; `weights` are not those of this network.
    """
    stages = build_stages(name)
    count = frozen_count(stages, name, frozen)
    load_by_name(in_sequence(stages.modules), weights, whole_names(name), name)
    parts = list(stages.modules.items())
    first: nn.Module = in_sequence(dict(parts[:count])).requires_grad_(False).eval()
    if name in OWN:
        first = fold_batch_norm(first)
    last = parts[count][1] if len(parts) == count + 1 else in_sequence(dict(parts[count:]))
    return Backbone(first, last, stages.channels, *input_statistics(name))


def frozen_count(stages: Stages, name: str, frozen: str | None) -> int:
    """How many of a network's modules are frozen. Raises UserError that names the stages."""
    if frozen in ("all", "none"):
        return len(stages.modules) if frozen == "all" else 0
    if frozen is None:
        return list(stages.modules).index(stages.cuts[-2]) + 1
    cut = frozen.replace(".", "_")
    if cut not in stages.cuts:
        raise UserError(
            f"model.frozen: {name} has no stage {frozen!r}{suggestion(cut, stages.cuts)}; its "
            f"stages are {', '.join(stages.cuts)} (or all, or none)"
        )
    return list(stages.modules).index(cut) + 1


def check_backbone(model: Model) -> None:
    """Raises UserError if there is no such backbone or stage; loads no weights."""
    with torch.device("meta"):
        frozen_count(build_stages(model.backbone), model.backbone, model.frozen)


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
