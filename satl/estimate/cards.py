"""What an experiment would cost on GPUs that are not here: counted, not measured.

Products of matrices and convolutions are counted on tensors without data and divided by a card's
published peak times `UTILISATION`; memory is what autograd keeps, plus weights, gradients and
Adam's moments. Expect the hours to be right within a factor of two.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from satl.config import Experiment
from satl.data.formats.base import DatasetSize
from satl.estimate.times import Cost, DatasetCosts, Methods
from satl.methods.base import Context, Hyperparameters, Method, Progress
from satl.models.backbone import Backbone, build_backbone, initial_weights

# Share of the peak that training is assumed to reach; convolutional networks reach 0.2 to 0.5.
UTILISATION = 0.3
GB = 10**9
CONTEXT_BYTES = GB  # CUDA's own, and what the allocator loses to fragments
# Shapes alone: operations compute nothing.
WITHOUT_DATA = FakeTensorMode(allow_non_fake_inputs=True)
BYTES_PER_WEIGHT = 16  # float32: weight, gradient, Adam's two moments


@dataclass(frozen=True)
class Card:
    """A GPU by its data sheet: bytes of memory, dense FLOP/s by `training.precision`."""

    name: str
    memory: int
    peak: dict[str, float]


CARDS = (
    Card("RTX 4090, 24 GB", 24 * GB, {"fp32": 82.6e12, "tf32": 82.6e12, "bf16": 165.2e12}),
    Card("A100 SXM, 80 GB", 80 * GB, {"fp32": 19.5e12, "tf32": 156e12, "bf16": 312e12}),
    Card("H100 SXM, 80 GB", 80 * GB, {"fp32": 66.9e12, "tf32": 494.7e12, "bf16": 989.4e12}),
)


@dataclass(frozen=True)
class Count:
    """Work and memory of one part of a training job.

    `train` and `test` are FLOPs per image; `per_image` bytes live for each image of a training
    batch, and `fixed` bytes whatever its size.
    """

    train: float
    test: float
    per_image: float
    fixed: float


@dataclass(frozen=True)
class Counts:
    """What the runs of a job share, and each method's own part, by its name in the config."""

    shared: Count
    methods: dict[str, Count]

    def job_bytes(self, experiment: Experiment, runs: int) -> float:
        """GPU memory of a job of `runs` runs of the largest method."""
        batch = experiment.training.batch_size
        own = max(c.fixed + batch * c.per_image for c in self.methods.values())
        # Only one run at a time is in its step.
        moving = max(batch * c.per_image for c in self.methods.values())
        return CONTEXT_BYTES + self.shared.fixed + (own - moving) * runs + moving

    def most_runs(self, experiment: Experiment, card: Card) -> int:
        """The largest `runs_per_job` that fits; 0 where not even one run does."""
        first, second = self.job_bytes(experiment, 1), self.job_bytes(experiment, 2)
        if first > card.memory:
            return 0
        return 1 + int((card.memory - first) // (second - first))

    def costs(self, experiment: Experiment, card: Card) -> DatasetCosts:
        """Seconds on `card`."""
        speed = card.peak[experiment.training.precision] * UTILISATION
        batch = experiment.training.batch_size
        methods = {
            name: Cost(batch * c.train / speed, c.test / speed) for name, c in self.methods.items()
        }
        shared = Cost(batch * self.shared.train / speed, self.shared.test / speed)
        return DatasetCosts(shared, methods)


def count(
    experiment: Experiment, methods: Methods, sizes: dict[str, DatasetSize]
) -> dict[str, Counts]:
    """By data set: what one image costs in each part, counted on tensors without data."""
    name = experiment.model.backbone
    backbone = build_backbone(name, initial_weights(name, "random"), experiment.model.frozen)
    side = experiment.training.image_size
    with WITHOUT_DATA, FlopCounterMode(display=False) as flops, torch.no_grad():
        images = torch.zeros(1, 3, side, side)
        features = backbone.frozen(images)
    work = float(flops.get_total_flops())
    shared = Count(work, work, 0.0, _frozen_bytes(experiment, backbone, images))
    by_categories = {
        c: {
            name: _count(experiment, *method, c, backbone, features, work)
            for name, method in methods.items()
        }
        for c in {size.categories for size in sizes.values()}
    }
    return {d: Counts(shared, by_categories[size.categories]) for d, size in sizes.items()}


def _value_bytes(experiment: Experiment) -> int:
    return 2 if experiment.training.precision == "bf16" else 4


def _frozen_bytes(experiment: Experiment, backbone: Backbone, images: Tensor) -> float:
    """Weights of the frozen stages, and three maps at once as large as the largest of a batch."""
    training, largest = experiment.training, 0
    with WITHOUT_DATA, torch.no_grad():
        value = images
        for stage in backbone.frozen:
            value = stage(value)
            largest = max(largest, value.numel())
    weights = sum(p.nbytes for p in backbone.frozen.parameters())
    batch = max(training.batch_size, training.eval_batch_size)
    return weights + 3 * batch * largest * _value_bytes(experiment)


def _count(
    experiment: Experiment,
    kind: type[Method],
    options: Hyperparameters,
    categories: int,
    backbone: Backbone,
    features: Tensor,
    frozen_work: float,
) -> Count:
    """Of a method's own network and losses, in mid-schedule; and of the strong view, if any."""
    training = experiment.training
    labels = torch.full((1, categories), -1, dtype=torch.int8)
    context = Context(tuple(map(str, range(categories))), training.epochs, 1000, labels)
    method = kind(options, context)
    model = method.build_model(backbone, torch.zeros(categories, 300), experiment.model)
    trained = [p for p in (*model.parameters(), *method.parameters()) if p.requires_grad]
    kept = _KeptBytes(model)
    with WITHOUT_DATA, FlopCounterMode(display=False) as train, kept:
        outputs = model.train()(features)
        forward = train.get_total_flops()
        strong = kind.wants_strong_view(options)
        if strong:
            outputs = replace(outputs, strong=model(features))
        progress = Progress(training.epochs // 2, 1, torch.zeros(1, dtype=torch.long), None)
        loss = sum(method.step(outputs, labels, progress).losses.values())
        torch.autograd.grad(loss, trained, allow_unused=True)
    buffers = sum(b.nbytes for b in (*model.buffers(), *method.buffers()))
    return Count(
        train=train.get_total_flops() + strong * frozen_work,
        test=float(forward),
        per_image=kept.bytes * _value_bytes(experiment) / 4,
        fixed=BYTES_PER_WEIGHT * sum(p.numel() for p in trained) + buffers,
    )


class _KeptBytes(torch.autograd.graph.saved_tensors_hooks):
    """Bytes that autograd keeps from the forward pass for the backward pass, weights apart."""

    def __init__(self, model: nn.Module) -> None:
        self.bytes, self.seen = 0, {id(p): p for p in model.parameters()}
        super().__init__(self._keep, lambda tensor: tensor)

    def _keep(self, tensor: Tensor) -> Tensor:
        if id(tensor) not in self.seen and not isinstance(tensor, nn.Parameter):
            self.seen[id(tensor)] = tensor  # kept, so that no other takes its id
            self.bytes += tensor.nbytes
        return tensor
