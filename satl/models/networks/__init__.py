"""The networks that backbones are cut from, by name: ours, torchvision's and timm's.

One module per kind of network. Each has a function `stages`, which builds the network and takes it
apart. Those in `KINDS` say in `NAMES` which networks they are for, and in `stage_names` what these
are cut into; of timm's networks, the first kind that knows how to take one apart does.
"""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn

from satl.models.networks import resnets, timm_blocks, timm_create, timm_maps, timm_whole
from satl.models.networks.stages import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    StageNames,
    Stages,
    Statistics,
)

KINDS = (resnets,)
OWN = {name: kind for kind in KINDS for name in kind.NAMES}
"""The kind of each network that is not timm's."""


def build_network(name: str, num_classes: int = 1000, image_size: int | None = None) -> nn.Module:
    """The whole classification network, randomly initialised from the global generator.

    Args:
        name: the backbone, as in the config.
        num_classes: of the classifier.
        image_size: of images, for networks made for one size; None: their own.

    Raises:
        UserError: there is no such network.
    """
    if name in OWN:
        return OWN[name].build(name, num_classes)
    timm_create.check_name(name, tuple(OWN))
    return timm_create.create(name, image_size, num_classes=num_classes)


def build_stages(
    name: str, image_size: int | None = None, weights: Mapping[str, Tensor] | None = None
) -> Stages:
    """The feature part of a network.

    Args:
        name: the backbone, as in the config.
        image_size: side of the images; None: that for which the network was made.
        weights: a state_dict of the whole network; None: as it is initialised.

    Raises:
        UserError: there is no such network, it gives no feature maps, none of images of this size,
            or `weights` are not its own.
    """
    if name in OWN:
        return OWN[name].stages(name, weights, whole_names(name))
    timm_create.check_name(name, tuple(OWN))
    whole = whole_names(name)
    return (
        timm_blocks.stages(name, image_size, weights, whole)
        or timm_maps.stages(name, image_size, weights, whole)
        or timm_whole.stages(name, image_size, weights, whole)
    )


def stage_names(name: str, image_size: int | None = None) -> StageNames:
    """What a network is cut into; see `build_stages`, whose errors it raises."""
    if name in OWN:
        return OWN[name].stage_names(name)
    with torch.device("meta"):
        return build_stages(name, image_size).names


@cache
def whole_names(name: str) -> tuple[str, ...]:
    """The names in the state_dict of the whole network, which is not built for it."""
    with torch.device("meta"):
        return tuple(build_network(name).state_dict())


def input_statistics(name: str) -> Statistics:
    """Mean and standard deviation of the channels, 0..1, that the network's inputs are scaled by.

    Those of ImageNet, unless timm says that the network's weights were trained with others.
    """
    return (IMAGENET_MEAN, IMAGENET_STD) if name in OWN else timm_create.input_statistics(name)
