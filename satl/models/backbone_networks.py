"""The networks that backbones are cut from, by name: ours, torchvision's and timm's, in stages.

A network that timm lacks is added here: its name in `OWN`, its construction in `build_network`,
its stages in `build_stages`. timm takes over a second to import, so only its own networks do.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from torch import nn

from satl.config.explain import suggestion
from satl.core.errors import UserError
from satl.models.tiny import TinyResNet

OWN = ("tiny", "resnet18", "resnet50", "resnet101")  # tiny is ours, the others are torchvision's
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Statistics = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Stages:
    """The feature part of a network, which computes one module after the other.

    Attributes:
        modules: by name, in the order of computation.
        cuts: names after which the network may be cut, in order; the last ends the network.
        channels: of the last feature map.
    """

    modules: dict[str, nn.Module]
    cuts: tuple[str, ...]
    channels: int


def check_name(name: str) -> None:
    """Raises UserError, with a suggestion, if there is no such network."""
    if name in OWN:
        return
    import timm

    if not timm.is_model(timm_name(name)):
        known = [*OWN, *timm.list_models()]
        raise UserError(
            f"model.backbone: unknown backbone {name!r}{suggestion(timm_name(name), known)}; there "
            f"are {', '.join(OWN)}, and all that `timm.list_models()` has"
        )


def timm_name(name: str) -> str:
    """What timm calls a backbone; the prefix `timm/` tells its resnet50 from torchvision's."""
    return name.removeprefix("timm/")


def build_network(name: str, num_classes: int = 1000) -> nn.Module:
    """The whole classification network, randomly initialised from the global generator.

    Raises:
        UserError: there is no such network.
    """
    if name == "tiny":
        return TinyResNet(num_classes)
    if name in OWN:
        return getattr(torchvision.models, name)(weights=None, num_classes=num_classes)
    check_name(name)
    import timm

    return timm.create_model(timm_name(name), pretrained=False, num_classes=num_classes)


def whole_names(name: str) -> list[str]:
    """The names in the state_dict of the whole network, which is not built for it."""
    with torch.device("meta"):
        return list(build_network(name).state_dict())


def input_statistics(name: str) -> Statistics:
    """Mean and standard deviation of the channels, 0..1, that the network's inputs are scaled by.

    Those of ImageNet, unless timm says that the network's weights were trained with others.
    """
    if name in OWN:
        return IMAGENET_MEAN, IMAGENET_STD
    import timm

    config = timm.get_pretrained_cfg(timm_name(name))
    return (config.mean, config.std) if config else (IMAGENET_MEAN, IMAGENET_STD)


def build_stages(name: str) -> Stages:
    """The feature part of a randomly initialised network.

    Raises:
        UserError: there is no such network, or it is no sequence of stages that give feature maps.
    """
    if name in OWN:
        network: Any = build_network(name, num_classes=1)
        parts = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
        modules = {part: getattr(network, part) for part in parts}
        return Stages(modules, tuple(parts[4:]), network.fc.in_features)
    check_name(name)
    import timm

    try:
        features: Any = timm.create_model(timm_name(name), pretrained=False, features_only=True)
    except (RuntimeError, AttributeError) as error:
        raise UserError(f"model.backbone: {name} gives no feature maps ({error})") from error
    names = [name.replace(".", "_") for name in features.feature_info.module_name()]
    modules = _in_order(features, name)
    cuts = [part for part in modules if part in names or part.startswith("blocks_")]
    return Stages(modules, tuple(cuts), features.feature_info.channels()[-1])


def _in_order(features: nn.Module, name: str) -> dict[str, nn.Module]:
    """The modules of one of timm's feature extractors, if calling them in turn is all it does."""
    from timm.models import FeatureListNet

    if isinstance(features, FeatureListNet) and features.output_fmt == "NCHW":
        return dict(features.named_children())
    modules = dict(features.named_children())
    if {"conv_stem", "blocks"} <= set(modules) <= {"conv_stem", "bn1", "act1", "blocks"}:
        blocks = modules.pop("blocks")  # EfficientNet, MobileNet
        return {**modules, **{f"blocks_{i}": block for i, block in blocks.named_children()}}
    layout = getattr(getattr(features, "output_fmt", None), "value", None)
    why = (
        f"gives feature maps of layout {layout}, not NCHW"
        if layout not in (None, "NCHW")
        else f"is no sequence of stages (timm extracts its features by {type(features).__name__})"
    )
    raise UserError(
        f"model.backbone: {name} cannot be cut into frozen and trained stages, as it {why}; choose "
        "a convolutional network such as resnet50, convnext_tiny or tf_efficientnet_lite0"
    )


def in_sequence(modules: dict[str, nn.Module]) -> nn.Sequential:
    """`modules` one after the other."""
    return nn.Sequential(OrderedDict(modules))
