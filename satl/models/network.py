"""A whole network, from pixels to logits: what a trained run is used as."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """Normalisation, the frozen stages, and the part that a run has trained.

    Args:
        frozen: stages of the backbone.
        trained: from their feature maps to `Outputs`.
        mean, std: per channel, of images in 0..1: what the inputs of `frozen` are scaled by.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self, frozen: nn.Module, trained: nn.Module, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.frozen, self.trained = frozen, trained
        for name, values in (("shift", mean), ("scale", std)):
            buffer = torch.tensor(values).view(3, 1, 1) * 255
            self.register_buffer(name, buffer, persistent=False)

    def feature_maps(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 images to the maps of the frozen stages."""
        scaled = (images.float() - self.shift) / self.scale
        return self.frozen(scaled.contiguous(memory_format=torch.channels_last))

    def logits(self, feature_maps: Tensor) -> Tensor:
        """Feature maps to (B, C) float32 logits."""
        return self.trained(feature_maps).logits.float()

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 images to (B, C) float32 logits."""
        return self.logits(self.feature_maps(images))
