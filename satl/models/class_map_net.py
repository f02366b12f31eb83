"""A network of class maps: one score per category and position, pooled to logits."""

import copy
from functools import partial

from torch import Tensor, nn

from satl.models.backbone import Backbone
from satl.models.outputs import Outputs
from satl.models.pointwise import PointwiseConv2d


class ClassMapNet(nn.Module):
    """Last backbone stage, and a 1x1 convolution to one map per category (SR-ST, ICCV 2023).

    The logit of a category is a + w·s, a the mean of its map and s that of its highest positions.

    Args:
        backbone: its last stage is copied, so that several models can start from one backbone.
        categories: C.
        top: how many positions s takes, or all where there are fewer.
        weight: w.
    """

    def __init__(self, backbone: Backbone, categories: int, top: int, weight: float) -> None:
        super().__init__()
        self.last_stage = copy.deepcopy(backbone.last).requires_grad_(True)
        self.class_maps = PointwiseConv2d(backbone.channels, categories)
        self.pool = partial(pooled, top=top, weight=weight)

    def forward(self, feature_maps: Tensor) -> Outputs:
        """(B, channels, H, W) feature maps of the frozen stages to Outputs.

        The features of a category are its map, (B, C, H·W).
        """
        maps = self.class_maps(self.last_stage(feature_maps)).flatten(2)
        return Outputs(self.pool(maps), maps, self.pool)


def pooled(maps: Tensor, top: int, weight: float) -> Tensor:
    """(B, C, P) maps to (B, C) logits: mean over P, plus `weight` times that of the `top` highest.

    Computed in float32: in bfloat16 thousands of images share a few hundred logits.
    """
    maps = maps.float()
    highest = maps.topk(min(top, maps.shape[2]), dim=2).values
    return maps.mean(2) + weight * highest.mean(2)
