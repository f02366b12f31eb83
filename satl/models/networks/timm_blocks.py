"""timm's transformers that are an embedding, blocks and a norm: ViT, DeiT, DINO, EVA, Swin.

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
    name: str, image_size: int | None, weights: Mapping[str, Tensor] | None, whole: tuple[str, ...]
) -> Stages | None:
    """See `satl.models.networks.build_stages`. None: the network is of another kind."""
    with torch.device("meta"):
        probe: Any = create(name, num_classes=0)
    blocks = _blocks_of(probe)
    if blocks is None:
        return None
    _check_size(name, image_size, probe.patch_embed.patch_size[0])
    modules = _taken_apart(create_loaded(name, image_size, weights, whole), blocks)
    return Stages(modules, tuple(modules)[:-1], probe.num_features)


def _taken_apart(network: Any, blocks: str) -> dict[str, nn.Module]:
    """The parts of a network in the order of computation; it is left without its blocks."""
    prefix, rope = getattr(network, "num_prefix_tokens", 0), getattr(network, "rope", None)
    modules: dict[str, nn.Module] = {EMBEDDING: Embedding(network)}
    for number, block in getattr(network, blocks).named_children():
        alone = Rotated(block, rope, prefix) if rope is not None else block
        modules[f"{blocks}_{number}"] = alone
    modules["map"] = FeatureMap(network.norm, prefix)
    # Nothing but the embedding is left in the network, and so in its own `forward_features`.
    network.reset_classifier(0, "")
    setattr(network, blocks, nn.Sequential())
    network.norm = nn.Identity()
    return modules


def _blocks_of(network: Any) -> str | None:
    """The name of the blocks, if embedding, blocks and norm are all that `network` computes."""
    from timm.models import Eva, SwinTransformer, SwinTransformerV2, VisionTransformer

    if getattr(network, "rope_mixed", False):
        return None  # embeddings of positions that differ from block to block
    kinds: dict[Any, str] = {
        Eva: "blocks",
        VisionTransformer: "blocks",
        SwinTransformer: "layers",
        SwinTransformerV2: "layers",
    }
    for kind, blocks in kinds.items():
        # A subclass may compute something else.
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


class Rotated(nn.Module):
    """A block, and the rotary embeddings of positions that EVA-02 and DINOv3 give to each.

    Args:
        block: takes them as `rope`.
        rope: computes them.
        prefix: number of tokens that belong to no patch.
    """

    def __init__(self, block: nn.Module, rope: nn.Module, prefix: int) -> None:
        super().__init__()
        self.block, self.prefix = block, prefix
        self.rope: Any = rope

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, prefix + H·W, D), where H = W, to the same shape."""
        side = isqrt(tokens.shape[1] - self.prefix)
        return self.block(tokens, rope=self.rope.get_embed(shape=(side, side)))


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
