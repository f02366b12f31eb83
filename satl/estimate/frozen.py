"""What the frozen stages of a backbone do to an image, counted on tensors without data."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from satl.config import Experiment
from satl.models.backbone import Backbone, build_backbone, initial_weights

# Shapes alone: operations compute nothing.
WITHOUT_DATA = FakeTensorMode(allow_non_fake_inputs=True)


@dataclass(frozen=True)
class FrozenCount:
    """Work and size of the frozen stages, per image where nothing else is said.

    Attributes:
        flops: of one pass.
        maps: (1, channels, H, W), without data: what comes out.
        largest: values of the largest tensor on the way.
        weight_bytes: of the stages, whatever the number of images.
    """

    flops: float
    maps: Tensor
    largest: int
    weight_bytes: int


def random_backbone(experiment: Experiment) -> Backbone:
    """The experiment's backbone before any weights have been downloaded."""
    model, side = experiment.model, experiment.training.image_size
    weights = initial_weights(model.backbone, "random")
    return build_backbone(model.backbone, weights, model.frozen, side)


def count_frozen(backbone: Backbone, side: int) -> FrozenCount:
    """Of images of `side` × `side` pixels."""
    stages, sizes = backbone.frozen, [0]

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel())

    # Inside of stages, too: a transformer's hidden layers are wider than what it passes on.
    parts = [module for module in stages.modules() if module is not stages]
    hooks = [part.register_forward_hook(note) for part in parts]
    with WITHOUT_DATA, FlopCounterMode(display=False) as flops, torch.no_grad():
        maps = stages(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    weight_bytes = sum(p.nbytes for p in stages.parameters())
    return FrozenCount(float(flops.get_total_flops()), maps, max(sizes), weight_bytes)
