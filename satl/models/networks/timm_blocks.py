"""timm's transformers that are an embedding, blocks and a norm: ViT, DeiT, DINOv2, Swin.

Between the blocks pass tokens: (B, prefix + H·W, D) with class and register tokens first, or
(B, H, W, D) for Swin. The feature map is made of them at the end.
"""

from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from satl.core.errors import UserError
from satl.models.networks.stages import Stages
from satl.models.networks.timm_create import create, create_loaded

EMBEDDING = "patch_embed"


def stages(
    name: str, image_size: int | None, weights: Mapping[str, Tensor] | None, whole: list[str]
) -> Stages | None:
    """See `satl.models.networks.build_stages`. None: the network is of another kind."""
    with torch.device("meta"):
        blocks = _blocks_of(create(name, num_classes=0))
    if blocks is None:
        return None
    network: Any = create_loaded(name, image_size, weights, whole)
    _check_size(name, image_size, network.patch_embed.patch_size[0])
    modules = {
        EMBEDDING: Embedding(network),
        **{f"{blocks}_{i}": block for i, block in getattr(network, blocks).named_children()},
        "map": FeatureMap(network.norm, getattr(network, "num_prefix_tokens", 0)),
    }
    # Nothing but the embedding is left in the network, and so in its own `forward_features`.
    network.reset_classifier(0, "")
    setattr(network, blocks, nn.Sequential())
    network.norm = nn.Identity()
    return Stages(modules, tuple(modules)[:-1], network.num_features)


def _blocks_of(network: Any) -> str | None:
    """The name of the blocks, if embedding, blocks and norm are all that `network` computes."""
    from timm.models import SwinTransformer, SwinTransformerV2, VisionTransformer

    kinds: dict[Any, str] = {
        VisionTransformer: "blocks",
        SwinTransformer: "layers",
        SwinTransformerV2: "layers",
    }
    for kind, blocks in kinds.items():
        # A subclass may compute something else, such as blocks that take rotary embeddings.
        if isinstance(network, kind) and type(network).forward_features is kind.forward_features:
            return blocks
    return None


def _check_size(name: str, image_size: int | None, patch: int) -> None:
    """Raises UserError if patches would leave a border of the images out."""
    if image_size is not None and image_size % patch:
        below = image_size // patch * patch
        raise UserError(
            f"training.image_size: {name} sees patches of {patch} × {patch} pixels, so the side of "
            f"its images must be a multiple of {patch}, such as {below or patch} or "
            f"{below + patch + patch * (not below)}, not {image_size}"
        )


class Embedding(nn.Module):
    """Images to the tokens that the first block takes, position embeddings added.

    Args:
        network: whose blocks and final norm are taken out afterwards.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) to tokens."""
        return self.network.forward_features(images)


class FeatureMap(nn.Module):
    """The final norm, and tokens laid out as a map; class and register tokens are left out.

    Args:
        norm: of the network.
        prefix: number of tokens that belong to no patch.
    """

    def __init__(self, norm: nn.Module, prefix: int) -> None:
        super().__init__()
        self.norm, self.prefix = norm, prefix

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, prefix + H·W, D), where H = W, or (B, H, W, D), to (B, D, H, W)."""
        tokens = self.norm(tokens)
        if tokens.ndim == 3:
            patches = tokens[:, self.prefix :]
            side = isqrt(patches.shape[1])
            tokens = patches.unflatten(1, (side, side))
        return tokens.permute(0, 3, 1, 2).contiguous()
