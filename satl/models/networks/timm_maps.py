"""timm's convolutional networks that are a sequence of stages: ResNet, ConvNeXt, EfficientNet."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from satl.models.networks.stages import Stages, in_sequence
from satl.models.networks.timm_create import create
from satl.models.weights import load_by_name


def stages(
    name: str, image_size: int | None, weights: Mapping[str, Tensor] | None, whole: tuple[str, ...]
) -> Stages | None:
    """See `satl.models.networks.build_stages`. None: the network is of another kind."""
    try:
        features: Any = create(name, image_size, features_only=True)
    except (RuntimeError, AttributeError):  # timm's, for networks without an extractor
        return None
    modules = _in_order(features)
    if modules is None:
        return None
    if weights is not None:
        load_by_name(in_sequence(modules), weights, whole, name)
    names = [name.replace(".", "_") for name in features.feature_info.module_name()]
    cuts = [part for part in modules if part in names or part.startswith("blocks_")]
    return Stages(modules, tuple(cuts), features.feature_info.channels()[-1])


def _in_order(features: nn.Module) -> dict[str, nn.Module] | None:
    """The modules of one of timm's feature extractors, if calling them in turn is all it does."""
    from timm.models import FeatureListNet

    modules = dict(features.named_children())
    if isinstance(features, FeatureListNet) and features.output_fmt == "NCHW":
        return modules
    if {"conv_stem", "blocks"} <= set(modules) <= {"conv_stem", "bn1", "act1", "blocks"}:
        blocks = modules.pop("blocks")  # EfficientNet, MobileNet
        return {**modules, **{f"blocks_{i}": block for i, block in blocks.named_children()}}
    return None
