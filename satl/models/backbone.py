"""Convolutional backbones, cut into a frozen part and the last stage, which methods train."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.resnet import BasicBlock, Bottleneck

from satl.core.errors import UserError
from satl.core.files import existing
from satl.core.seeds import derive_seed


@dataclass(frozen=True)
class Backbone:
    """`frozen` (stem … layer3) is shared and in eval mode; `last` (layer4) is to be copied."""

    frozen: nn.Module
    last: nn.Module
    channels: int


class TinyResNet(nn.Module):
    """A residual network for 64-pixel pictures on a CPU: four blocks, stride 8, 96 channels.

    Its stages bear torchvision's names, so that it is cut and loaded like the large ones. As in
    a ResNet-101 the frozen stages do most of the work and the last is a bottleneck: runs that
    share the frozen stages (`runs_per_job`) then cost little each.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, kernel_size=3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _block(24, 40, stride=1)
        self.layer2 = _block(40, 80, stride=2)
        self.layer3 = _block(80, 96, stride=1)
        self.layer4 = nn.Sequential(Bottleneck(96, 24))
        self.fc = nn.Linear(96, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) normalised images to (B, num_classes) logits."""
        maps = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        return self.fc(maps.mean((2, 3)))


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    same = stride == 1 and inputs == outputs
    shortcut = None if same else _shortcut(inputs, outputs, stride)
    return nn.Sequential(BasicBlock(inputs, outputs, stride, shortcut))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def build_network(name: str, num_classes: int = 1000) -> nn.Module:
    """The whole classification network, randomly initialised from the global generator."""
    if name == "tiny":
        return TinyResNet(num_classes)
    return getattr(torchvision.models, name)(weights=None, num_classes=num_classes)


def initial_weights(name: str, source: str, seed: int = 0) -> dict[str, Tensor]:
    """The state_dict that training starts from.

    Args:
        name: the backbone, as in the config.
        source: `random`, or the path of a state_dict (ImageNet's is downloaded beforehand).
        seed: of the random initialisation.

    Raises:
        UserError: no such file, or not a state_dict.
    """
    if source == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "backbone"))
            return build_network(name).state_dict()
    return load_weights(Path(source))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a state_dict. Raises UserError where `path` holds something else."""
    try:
        state = torch.load(existing(path, "weights file"), map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # torch.load's errors on foreign files have no common type
        raise UserError(f"{path}: not a PyTorch state_dict ({error})") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path}: not a PyTorch state_dict of tensors")
    return state


def build_backbone(name: str, weights: dict[str, Tensor]) -> Backbone:
    """Cut the network after layer3 and freeze the first part.

    Raises:
        UserError: `weights` are not those of this network (its classifier apart).
    """
    network = build_network(name, num_classes=1)
    state = {key: value for key, value in weights.items() if not key.startswith("fc.")}
    state |= {key: value for key, value in network.state_dict().items() if key.startswith("fc.")}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"model.weights: not weights of backbone {name!r}: {error}") from error
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
    frozen = nn.Sequential(OrderedDict((part, getattr(network, part)) for part in names))
    frozen = fold_batch_norm(frozen.requires_grad_(False).eval())
    return Backbone(frozen=frozen, last=network.layer4, channels=network.fc.in_features)


def fold_batch_norm(stages: nn.Module) -> nn.Module:
    """Merge each frozen batch norm into the convolution before it: the same map, less to do.

    Args:
        stages: in evaluation mode, with torchvision's names (`conv1` before `bn1`, and the
            `downsample` pair); changed in place.
    """
    for module in stages.modules():
        names = dict(module.named_children())
        pairs = [(n, n.replace("conv", "bn")) for n in names if n.startswith("conv")]
        if isinstance(names.get("0"), nn.Conv2d):
            pairs.append(("0", "1"))
        for convolution, norm in pairs:
            setattr(module, convolution, fuse_conv_bn_eval(names[convolution], names[norm]))
            setattr(module, norm, nn.Identity())
    return stages
