"""A method of the published trunk on hand-made outputs, for the tests of SST, SARB, HST, DSRB."""

import torch

from satl.config import Model
from satl.methods.base import Context, Progress
from satl.models.backbone import build_backbone, initial_weights

EPOCHS, STEPS, IMAGES, CATEGORIES, FEATURES = 20, 4, 12, 5, 12


class GraphTrial:
    """`outputs` and `labels` are of twelve random images; every epoch has four steps."""

    def __init__(self, kind, **options):
        torch.manual_seed(0)
        self.labels = torch.randint(-1, 2, (IMAGES, CATEGORIES), dtype=torch.int8)
        context = Context(tuple("abcde"), EPOCHS, STEPS, self.labels)
        self.method = kind(kind.Options(**options), context)
        backbone = build_backbone("tiny", initial_weights("tiny", "random"))
        model = Model(backbone="tiny", weights="random", feature_dim=FEATURES, attention_dim=6)
        self.model = self.method.build_model(backbone, torch.randn(CATEGORIES, 20), model)
        with torch.no_grad():
            self.maps = backbone.frozen(torch.randn(IMAGES, 3, 32, 32))
        self.outputs = self.model(self.maps)

    def progress(self, epoch, step=0, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return Progress(epoch, step, torch.arange(IMAGES), generator)

    def step(self, epoch, step=0, seed=0):
        return self.method.step(self.outputs, self.labels, self.progress(epoch, step, seed))
