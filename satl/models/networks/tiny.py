"""A small residual network for the embedded data set."""

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck


class TinyResNet(nn.Module):
    """A residual network for 64-pixel pictures on a CPU: four blocks, stride 8, 96 channels.

    Its stages bear torchvision's names, so that it is cut and loaded like the large ones. As in
    a ResNet-101 the frozen stages do most of the work and the last is a bottleneck: runs that
    share the frozen stages then cost little each.
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
        feature_maps = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        feature_maps = self.layer4(self.layer3(self.layer2(self.layer1(feature_maps))))
        return self.fc(feature_maps.mean((2, 3)))


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    same = stride == 1 and inputs == outputs
    shortcut = None if same else _shortcut(inputs, outputs, stride)
    return nn.Sequential(BasicBlock(inputs, outputs, stride, shortcut))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))
