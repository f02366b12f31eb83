"""What a run has seen of the epoch that it is in, and the time it took."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from satl.methods.base import StepResult


@dataclass
class EpochRecord:
    """Sums over the steps so far; kept on the device, so that no step waits for it."""

    losses: dict[str, Tensor]  # sums over the steps
    pseudo_labels: Tensor  # (N, C) int8
    logits: Tensor  # (N, C) float32, as the model gave them in training
    first_bad_step: Tensor  # from 0: the first with a loss or gradient not finite; -1: none

    @classmethod
    def empty(cls, labels: Tensor) -> "EpochRecord":
        """Before the first step; `labels` (N, C) give size and device."""
        device = labels.device
        return cls(
            losses={},
            pseudo_labels=torch.zeros_like(labels),
            logits=torch.full(labels.shape, torch.nan, device=device),
            first_bad_step=torch.tensor(-1, device=device),
        )

    @torch.no_grad()
    def add(self, step: int, result: StepResult, logits: Tensor, indices: Tensor) -> None:
        """Record a step: its losses, and its images' pseudo-labels and (B, C) logits."""
        for name, value in result.losses.items():
            self.losses[name] = self.losses.get(name, 0) + value.detach()
        self.logits[indices] = logits.detach()
        if result.pseudo_labels is not None:
            self.pseudo_labels[indices] = result.pseudo_labels
        self.note_if_bad(step, sum(result.losses.values()))

    @torch.no_grad()
    def note_if_bad(self, step: int, value: Tensor) -> None:
        """Remember `step` where the scalar `value` is not finite, unless an earlier one was."""
        bad = ~torch.isfinite(value) & (self.first_bad_step < 0)
        self.first_bad_step.masked_fill_(bad, step)

    def mean_losses(self, steps: int) -> dict[str, float]:
        """By name, over the `steps` of the epoch."""
        return {name: float(total) / steps for name, total in self.losses.items()}


@dataclass
class EpochTimes:
    """Wall-clock seconds that an epoch has taken so far, its test predictions included."""

    seconds: float = 0.0  # the run's share: the job's time divided among the runs it served
    test_seconds: float = 0.0  # of `seconds`, those for predictions on test images
    job_seconds: float = 0.0  # the job's, undivided
    runs_in_job: int = 1  # the most runs that the job served at once

    def book(self, job_seconds: float, runs: int, testing: bool) -> None:
        """Add time that the job has spent on `runs` runs at once, on test images or training."""
        self.job_seconds += job_seconds
        self.seconds += job_seconds / runs
        self.test_seconds += job_seconds / runs * testing
        self.runs_in_job = max(self.runs_in_job, runs)

    def rounded(self) -> dict[str, float]:
        """By name, for metrics.jsonl."""
        return {name: round(value, 3) for name, value in vars(self).items()}


@torch.no_grad()
def largest_magnitude(tensors: Iterable[Tensor]) -> Tensor:
    """The largest absolute value of all, a scalar; inf or NaN where one holds such a value."""
    floats = [tensor for tensor in tensors if tensor.is_floating_point()]
    return torch.nn.utils.get_total_norm(floats, norm_type=math.inf)
