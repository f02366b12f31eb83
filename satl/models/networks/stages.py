"""What a backbone is cut into, whichever library it comes from."""

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Statistics = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class StageNames:
    """What a network is cut into.

    Attributes:
        modules: the names of all modules, in the order of computation.
        cuts: names after which the network may be cut, in order; none: it is used whole.
    """

    modules: tuple[str, ...]
    cuts: tuple[str, ...]


@dataclass(frozen=True)
class Stages:
    """The feature part of a network, which computes one module after the other.

    The first takes (B, 3, S, S) images, the last gives (B, channels, H, W) feature maps; what
    passes between them is the network's own affair.

    Attributes:
        modules: by name, in the order of computation.
        cuts: names after which the network may be cut, in order; none: it is used whole.
        channels: of the feature map.
    """

    modules: dict[str, nn.Module]
    cuts: tuple[str, ...]
    channels: int

    @property
    def names(self) -> StageNames:
        """Those of the modules, and where the network may be cut."""
        return StageNames(tuple(self.modules), self.cuts)


def in_sequence(modules: dict[str, nn.Module]) -> nn.Sequential:
    """`modules` one after the other."""
    return nn.Sequential(OrderedDict(modules))
