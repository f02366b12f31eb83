"""Networks of timm: whether there is one, how it is created, what its inputs are.

timm takes over a second to import, so only what concerns its own networks does.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from satl.config.explain import suggestion
from satl.core.errors import UserError
from satl.models.networks.stages import IMAGENET_MEAN, IMAGENET_STD, Statistics
from satl.models.weights import matched


def timm_name(name: str) -> str:
    """What timm calls a backbone; the prefix `timm/` tells its resnet50 from torchvision's."""
    return name.removeprefix("timm/")


def check_name(name: str, others: tuple[str, ...]) -> None:
    """Raises UserError, with a suggestion, unless timm has this network; `others` are not its."""
    import timm

    if not timm.is_model(timm_name(name)):
        known = [*others, *timm.list_models()]
        raise UserError(
            f"model.backbone: unknown backbone {name!r}{suggestion(timm_name(name), known)}; there "
            f"are {', '.join(others)}, and all that `timm.list_models()` has"
        )
    architecture, _, tag = timm_name(name).partition(".")
    tags = _tags(architecture)
    if tag and tag not in tags:
        raise UserError(
            f"model.backbone: timm has no weights {tag!r} of {architecture}"
            f"{suggestion(tag, tags)}; it has {', '.join(tags) or 'none'}"
        )


def check_hub(name: str) -> None:
    """Raises UserError if timm has no weights of its network `name` to be downloaded."""
    config = _pretrained_cfg(name)
    if config is None or not config.has_weights:
        tags = _tags(timm_name(name).partition(".")[0])
        raise UserError(
            f"model.weights: hub: timm has no weights of {name}"
            + (f", but of {name}.{', '.join(tags)}" if tags else "; set random, or a file's path")
        )


def _tags(architecture: str) -> list[str]:
    """What timm calls the sets of weights that it has of a network."""
    import timm

    return [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]


def create(name: str, image_size: int | None = None, **options: Any) -> nn.Module:
    """The network as timm makes it, but without dropout and stochastic depth.

    These would draw from the global generator, which runs that are trained side by side share:
    the numbers of one would depend on which others there are.

    Args:
        name: the backbone, as in the config.
        image_size: of images, for networks made for one size; None: their own.
        options: of `timm.create_model`.
    """
    import timm
    from timm.layers import DropPath

    if image_size is not None and _has_fixed_size(name):
        options["img_size"] = image_size
    network = timm.create_model(timm_name(name), **options)
    for module in network.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
        elif isinstance(module, DropPath):
            module.drop_prob = 0.0
    return network


def create_loaded(
    name: str, image_size: int | None, weights: Mapping[str, Tensor] | None, whole: tuple[str, ...]
) -> nn.Module:
    """The network without its classifier, with `weights` that timm resizes to the image size.

    What timm resizes are position embeddings and the like. None: weights at random.

    Raises:
        UserError: they are not weights of this network.
    """
    if weights is None:
        return create(name, image_size, num_classes=0)
    with torch.device("meta"):
        own = create(name, image_size, num_classes=0).state_dict()
    given = matched(own, weights, whole, name)
    overlay = {"state_dict": given}
    try:
        return create(
            name, image_size, num_classes=0, pretrained=True, pretrained_cfg_overlay=overlay
        )
    except Exception as error:  # errors on foreign tensors have no common type
        raise UserError(
            f"model.weights: not weights of backbone {name!r}, or timm cannot resize them for "
            f"images of {image_size or own_size(name)} × {image_size or own_size(name)} pixels "
            f"({error})"
        ) from error


def _has_fixed_size(name: str) -> bool:
    """Whether the network is made for images of one size, which timm takes as `img_size`."""
    config = _pretrained_cfg(name)
    return bool(config and config.fixed_input_size)


def own_size(name: str) -> int:
    """The side of the images that the network was made for."""
    config = _pretrained_cfg(name)
    return config.input_size[-1] if config else 224


def input_statistics(name: str) -> Statistics:
    """Mean and standard deviation of the channels that the network's weights were trained with."""
    config = _pretrained_cfg(name)
    return (config.mean, config.std) if config else (IMAGENET_MEAN, IMAGENET_STD)


def _pretrained_cfg(name: str) -> Any:
    """What timm knows of the network's weights; None: nothing."""
    import timm

    return timm.get_pretrained_cfg(timm_name(name))
