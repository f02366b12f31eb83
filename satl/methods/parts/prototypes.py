"""What methods remember of the features of known positives: a bank, and its k-means centres.

Slots of zeros are empty, in banks and among centres.
"""

import torch
from torch import Tensor, nn


def occupied(slots: Tensor) -> Tensor:
    """Which of (…, D) slots hold a feature: (…), as `slots.any(-1)`, in a third of its time."""
    return slots.abs().amax(-1) > 0


class FeatureBank(nn.Module):
    """For each category, the newest features of known positives; part of the checkpoint.

    Args:
        categories: C.
        size: K, features per category.
        feature_dim: D.
    """

    rows: Tensor
    seen: Tensor

    def __init__(self, categories: int, size: int, feature_dim: int) -> None:
        super().__init__()
        self.shape = (categories, size, feature_dim)
        # One row more than there are slots, for what is not to be remembered: writing it there
        # needs no list of what is, for which the CPU would have to wait for a GPU.
        self.register_buffer("rows", torch.zeros(categories * size + 1, feature_dim))
        self.register_buffer("seen", torch.zeros(categories, dtype=torch.long))

    @property
    def features(self) -> Tensor:
        """(C, K, D); slots of zeros are empty."""
        return self.rows[:-1].view(self.shape)

    @torch.no_grad()
    def add(self, features: Tensor, labels: Tensor) -> None:
        """Remember the positives of a batch: (B, C, D) features, (B, C) labels."""
        categories, size, _ = self.shape
        positive = labels > 0
        count = positive.sum(0)
        rank = positive.cumsum(0) - 1
        first_slot = torch.arange(categories, device=labels.device) * size
        # Of more positives than there are slots, the last ones stay: no slot is written twice.
        kept = positive & (rank >= count - size)
        row = torch.where(kept, first_slot + (self.seen + rank) % size, categories * size)
        self.rows.index_copy_(0, row.flatten(), features.flatten(0, 1).float())
        self.seen += count


class Prototypes(nn.Module):
    """K-means centres of a feature bank, renewed at the start of certain epochs.

    The bank of the features that training has seen last spares a pass over the whole training
    set for each renewal.

    Args:
        bank: where the features of known positives are remembered.
        clusters: K, centres per category; a category with fewer features has fewer.
        first: epoch (from 0) of the first renewal.
        period: epochs from one renewal to the next.
    """

    centres: Tensor

    def __init__(self, bank: FeatureBank, clusters: int, first: int, period: int) -> None:
        super().__init__()
        self.bank, self.first, self.period = bank, first, period
        categories, _, feature_dim = bank.shape
        self.register_buffer("centres", torch.zeros(categories, clusters, feature_dim))

    def update(
        self, features: Tensor, labels: Tensor, epoch: int, step: int, generator: torch.Generator
    ) -> None:
        """Remember a batch; renew the centres in the first step of an epoch where it is due."""
        self.bank.add(features, labels)
        if step == 0 and renewal_due(epoch, self.first, self.period):
            self.centres.copy_(k_means(self.bank.features, self.centres.shape[1], generator))


def renewal_due(epoch: int, first: int, period: int) -> bool:
    """Whether `epoch` is the `first` or a multiple of `period` after it."""
    return epoch >= first and (epoch - first) % period == 0


@torch.no_grad()
def k_means(
    points: Tensor, clusters: int, generator: torch.Generator, iterations: int = 20
) -> Tensor:
    """Lloyd's algorithm from a k-means++ start, for many sets of points at once.

    Args:
        points: (C, M, D), C sets of up to M points.
        clusters: K.
        generator: draws the start.
        iterations: a fixed number, so that nothing waits for a GPU.

    Returns:
        (C, K, D) centres; a set of fewer than K different points has so many, then zeros.
    """
    filled = occupied(points)
    centres = _spread_start(points, filled, clusters, generator)
    used = occupied(centres)
    numbers = torch.arange(clusters, device=points.device)
    for _ in range(iterations):
        distance = torch.cdist(points, centres).masked_fill(~used.unsqueeze(1), torch.inf)
        nearest = distance.argmin(2, keepdim=True) == numbers
        members = (nearest & filled.unsqueeze(2)).to(points.dtype)
        count = members.sum(1).unsqueeze(2)
        means = members.transpose(1, 2) @ points / count.clamp(min=1)
        centres = torch.where(count > 0, means, centres)
    return centres


def _spread_start(
    points: Tensor, filled: Tensor, clusters: int, generator: torch.Generator
) -> Tensor:
    """K-means++: each start is a point, drawn by its squared distance to those before."""
    centres = points.new_zeros(len(points), clusters, points.shape[2])
    rows = torch.arange(len(points), device=points.device)
    weight, closest = filled.to(points.dtype), torch.full_like(points[:, :, 0], torch.inf)
    for k in range(clusters):
        remains = weight.sum(1, keepdim=True) > 0
        # Where no point remains, something must be drawn nevertheless; it becomes zeros.
        # As `torch.multinomial` draws, but without its checks, for which a GPU is waited for.
        waiting = torch.empty_like(weight).exponential_(generator=generator)
        pick = ((weight + ~remains) / waiting).argmax(1)
        centres[:, k] = points[rows, pick] * remains
        distance = (points - centres[:, k, None]).square().sum(2)
        closest = torch.minimum(closest, distance)
        weight = closest * filled
    return centres
