"""A batch of three images, and a method that is stepped on it by hand."""

import torch

from satl.methods.base import Context, Progress
from satl.models.outputs import Outputs

LABELS = torch.tensor([[1, 0, -1, 0], [0, 0, 0, -1], [-1, 1, 0, 0]], dtype=torch.int8)
LOGITS = torch.tensor([[2.0, 3.0, 5.0, -1.0], [0.5, -2.0, 4.0, 1.0], [-3.0, 0.2, 1.0, 2.5]])


def method(kind, epochs=8, labels=LABELS, **options):
    context = Context(("a", "b", "c", "d"), epochs, 4, labels)
    return kind(kind.Options(**options), context)


def step(given, epoch, logits=LOGITS, labels=LABELS, rows=(0, 1, 2)):
    features = torch.zeros(*logits.shape, 1)
    outputs = Outputs(logits, features, classify=lambda features: features)
    return given.step(outputs, labels, Progress(epoch, 0, torch.tensor(rows), None))


def loss(given, epoch, **batch) -> float:
    return sum(step(given, epoch, **batch).losses.values()).item()
