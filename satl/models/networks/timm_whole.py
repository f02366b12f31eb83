"""timm's other networks, which cannot be cut: all of the network is frozen, or all is trained."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from satl.core.errors import UserError
from satl.models.networks.stages import Stages
from satl.models.networks.timm_create import create, create_loaded, own_size


def stages(
    name: str, image_size: int | None, weights: Mapping[str, Tensor] | None, whole: tuple[str, ...]
) -> Stages:
    """See `satl.models.networks.build_stages`; one stage, and no cut.

    Raises:
        UserError: the network gives no feature maps, or none of images of this size.
    """
    side = image_size or own_size(name)
    try:
        kind, channels = _kind_of(name, side)
    except Exception as error:  # what networks say of sizes has no common type
        if side != own_size(name):
            raise UserError(
                f"training.image_size: {name} does not take images of {side} × {side} pixels; its "
                f"own size is {own_size(name)} ({error})"
            ) from error
        raise UserError(f"model.backbone: {name} gives no feature maps ({error})") from error
    return Stages({"network": kind(create_loaded(name, image_size, weights, whole))}, (), channels)


def _kind_of(name: str, side: int) -> tuple[type["MapNetwork"], int]:
    """How to get feature maps out of the network, and their channels, tried without data."""
    with torch.device("meta"):
        network: Any = create(name, side, num_classes=0).eval()
        images = torch.zeros(1, 3, side, side)
        found = network.forward_features(images)
        is_map = isinstance(found, Tensor) and found.ndim == 4
        if is_map and found.shape[1] == network.num_features and found.shape[2] == found.shape[3]:
            return MapNetwork, found.shape[1]
        return TokenNetwork, TokenNetwork(network)(images).shape[1]


class MapNetwork(nn.Module):
    """A network whose features are feature maps.

    Args:
        network: of timm, created without a classifier.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, channels, H, W)."""
        return self.network.forward_features(images)


class TokenNetwork(MapNetwork):
    """A network whose features are tokens, or maps with their channels last."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, channels, H, W), after the final norm; class tokens left out."""
        return self.network.forward_intermediates(
            images, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )[-1]
