"""What an experiment would cost on GPUs that are not here: counted, not measured.

Products of matrices and convolutions are counted on tensors without data and divided by a card's
published peak times `UTILISATION`; but a batch takes no less than Python takes to issue its
operations. Memory is what autograd keeps, plus weights, gradients and Adam's moments. Not
compared with any real card yet; expect the hours to be right within a factor of two or three.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from satl.config import Experiment
from satl.data.formats.base import DatasetSize
from satl.estimate.frozen import WITHOUT_DATA, FrozenCount, count_frozen, random_backbone
from satl.estimate.times import Cost, DatasetCosts, Methods
from satl.methods.base import Context, Hyperparameters, Method, Progress
from satl.models.backbone import Backbone

# Share of the peak that training is assumed to reach; convolutional networks reach 0.2 to 0.5.
UTILISATION = 0.3
# Some 400 operations of a training step and 100 of a prediction, at 10 microseconds each.
STEP_SECONDS, PREDICTION_SECONDS = 4e-3, 1e-3
GB = 10**9
CONTEXT_BYTES = GB  # CUDA's own, and what the allocator loses to fragments
BYTES_PER_WEIGHT = 16  # float32: weight, gradient, Adam's two moments


@dataclass(frozen=True)
class Card:
    """A GPU by its data sheet: bytes of memory, dense FLOP/s by `training.precision`."""

    name: str
    memory: int
    peak: dict[str, float]


CARDS = (
    Card("RTX 4090, 24 GB", 24 * GB, {"fp32": 82.6e12, "tf32": 82.6e12, "bf16": 165.2e12}),
    Card("A100 SXM, 40 GB", 40 * GB, {"fp32": 19.5e12, "tf32": 156e12, "bf16": 312e12}),
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
    """What the runs of a job share, and each method's own part, by its name in the config.

    `features_bytes` is the memory of computing cached feature maps, 0 without `cached_views`.
    """

    shared: Count
    methods: dict[str, Count]
    features_bytes: float = 0.0

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
        if max(first, CONTEXT_BYTES + self.features_bytes) > card.memory:
            return 0
        return 1 + int((card.memory - first) // (second - first))

    def costs(self, experiment: Experiment, card: Card) -> DatasetCosts:
        """Seconds on `card`."""
        training = experiment.training
        speed = card.peak[training.precision] * UTILISATION

        def cost(count: Count) -> Cost:
            step = max(STEP_SECONDS, training.batch_size * count.train / speed)
            batch = training.eval_batch_size
            return Cost(step, max(PREDICTION_SECONDS, batch * count.test / speed) / batch)

        # Of the frozen stages there is no way back: a step of theirs is like a prediction.
        frozen = max(PREDICTION_SECONDS, training.batch_size * self.shared.train / speed)
        methods = {name: cost(count) for name, count in self.methods.items()}
        return DatasetCosts(Cost(frozen, cost(self.shared).test), methods)


def count(
    experiment: Experiment, methods: Methods, sizes: dict[str, DatasetSize]
) -> dict[str, Counts]:
    """By data set: what one image costs in each part, counted on tensors without data."""
    backbone = random_backbone(experiment)
    frozen = count_frozen(backbone, experiment.training.image_size)
    computing = _frozen_bytes(experiment, frozen)
    cached = experiment.training.cached_views is not None
    strong_work = 0.0 if cached else frozen.flops
    in_job = _map_bytes(experiment, frozen) if cached else computing
    shared = Count(frozen.flops, frozen.flops, 0.0, in_job)
    by_categories = {
        c: {
            name: _count(experiment, *method, c, backbone, frozen.maps, strong_work)
            for name, method in methods.items()
        }
        for c in {size.categories for size in sizes.values()}
    }
    return {
        d: Counts(shared, by_categories[size.categories], computing if cached else 0.0)
        for d, size in sizes.items()
    }


def _value_bytes(experiment: Experiment) -> int:
    return 2 if experiment.training.precision == "bf16" else 4


def _largest_batch(experiment: Experiment) -> int:
    return max(experiment.training.batch_size, experiment.training.eval_batch_size)


def _frozen_bytes(experiment: Experiment, frozen: FrozenCount) -> float:
    """Weights of the frozen stages, and three tensors as large as the largest of a batch."""
    values = 3 * _largest_batch(experiment) * frozen.largest
    return frozen.weight_bytes + values * _value_bytes(experiment)


def _map_bytes(experiment: Experiment, frozen: FrozenCount) -> float:
    """Cached maps of a batch in float32, and of the next one."""
    return 2 * 4 * _largest_batch(experiment) * frozen.maps.numel()


def _count(
    experiment: Experiment,
    kind: type[Method],
    options: Hyperparameters,
    categories: int,
    backbone: Backbone,
    features: Tensor,
    strong_work: float,
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
        train=train.get_total_flops() + strong * strong_work,
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
