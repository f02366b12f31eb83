"""The residual networks of the published protocol, torchvision's, and the embedded small one."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from satl.config.input_size import PUBLISHED
from satl.models.networks.stages import StageNames, Stages, in_sequence
from satl.models.weights import load_by_name

NAMES = PUBLISHED
PARTS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


def build(name: str, num_classes: int) -> nn.Module:
    """The whole classification network, randomly initialised from the global generator."""
    # torchvision takes seconds to import, and a config can be checked without it.
    if name == "tiny":
        from satl.models.networks.tiny import TinyResNet

        return TinyResNet(num_classes)
    from torchvision import models

    return getattr(models, name)(weights=None, num_classes=num_classes)


def stage_names(name: str) -> StageNames:
    """What the network `name` is cut into, which is not built for it."""
    return StageNames(PARTS, PARTS[4:])


def stages(name: str, weights: Mapping[str, Tensor] | None, whole: tuple[str, ...]) -> Stages:
    """The feature part; see `satl.models.networks.build_stages`."""
    network: Any = build(name, num_classes=1)
    modules = {part: getattr(network, part) for part in PARTS}
    if weights is not None:
        load_by_name(in_sequence(modules), weights, whole, name)
    return Stages(modules, stage_names(name).cuts, network.fc.in_features)
