"""Training as one would write it down first: what the engine's speed is compared with.

The same mathematics (method, optimiser, schedule), straightforwardly: every image is decoded
and transformed by itself, batch norm is not folded, and semantic decoupling is the textbook's.
"""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from satl.config import Model, Training
from satl.data.embeddings import word_embeddings
from satl.data.images.batches import IMAGENET_MEAN, IMAGENET_STD
from satl.data.table import LabelTable
from satl.methods.base import Context, Progress
from satl.methods.registry import method_class
from satl.models.backbone import Backbone, build_network
from satl.models.decoupling import SemanticDecoupling


def textbook_attention(layer: SemanticDecoupling, positions: Tensor, words: Tensor) -> Tensor:
    """(B, P, D) to (B, P, C): every product laid out over batch, positions and categories."""
    b, p, d = positions.shape
    c = len(words)
    tiled = positions.reshape(b * p, 1, d).expand(b * p, c, d).reshape(b * p * c, d)
    word = words.reshape(1, c, -1).expand(b * p, c, -1).reshape(b * p * c, -1)
    joint = torch.tanh(layer.fc1(tiled) * layer.fc2(word))
    return layer.fc4(layer.fc3(joint)).view(b, p, c).softmax(1)


class PlainImages(Dataset):
    """Image and row, decoded and transformed one by one."""

    def __init__(self, table: LabelTable, training: Training) -> None:
        self.paths = table.paths()
        crops = [round(scale * training.resize) for scale in training.crop_scales]
        size = (training.image_size, training.image_size)
        self.transform = v2.Compose(
            [
                v2.Resize((training.resize, training.resize), v2.InterpolationMode.BICUBIC),
                v2.RandomChoice([v2.RandomCrop(crop) for crop in crops]),
                v2.Resize(size, v2.InterpolationMode.BICUBIC),
                v2.RandomHorizontalFlip(),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        from PIL import Image

        with Image.open(self.paths[row]) as image:
            return self.transform(image.convert("RGB")), row


class PlainRun:
    """One method trained by the plain loop."""

    def __init__(self, name: str, observed: LabelTable, model: Model, training: Training) -> None:
        kind = method_class(name)
        network = build_network(model.backbone, 1).requires_grad_(False).eval()
        names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
        self.frozen = nn.Sequential(*(getattr(network, part) for part in names))
        backbone = Backbone(self.frozen, network.layer4, network.fc.in_features)
        self.loader = DataLoader(
            PlainImages(observed, training), training.batch_size, shuffle=True, drop_last=True
        )
        self.labels = torch.from_numpy(observed.labels)
        context = Context(observed.categories, training.epochs, len(self.loader), self.labels)
        self.method = kind(kind.Options(), context)
        words = torch.from_numpy(word_embeddings(observed.categories, None))
        self.model = self.method.build_model(backbone, words, model)
        for layer in self.model.modules():
            if isinstance(layer, SemanticDecoupling):
                attend = copy.copy(layer)
                layer.attention = lambda p, w, layer=attend: textbook_attention(layer, p, w)
        self.optimizer = torch.optim.Adam(
            [p for p in (*self.model.parameters(), *self.method.parameters()) if p.requires_grad],
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
        )
        self.generator = torch.Generator()
        self.distort = v2.Compose([v2.RandAugment(), v2.RandomErasing(1.0)])

    def epoch(self, number: int) -> None:
        """Train for one epoch; `number` is what the method is told."""
        self.model.train()
        for step, (images, rows) in enumerate(self.loader):
            with torch.no_grad():
                maps = self.frozen(images)
            outputs = self.model(maps)
            if self.method.wants_strong_view(self.method.options):
                with torch.no_grad():
                    maps = self.frozen(torch.stack([*map(self.distort, images)]))
                outputs = replace(outputs, strong=self.model(maps))
            progress = Progress(number, step, rows, self.generator)
            losses = self.method.step(outputs, self.labels[rows], progress).losses
            loss = sum(losses.values())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss.item()  # for the progress bar, as everybody does
