"""Pair head: a logit for every pair of categories, that both are in the image."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# How many entries the largest tensor of a group may have: on a CPU it then stays in the cache.
CPU_GROUP_ENTRIES = 2**18
GPU_GROUP_ENTRIES = 2**26


class PairHead(nn.Module):
    """Co-occurrence logits of category pairs (SST, Chen et al., AAAI 2022; used by HST too).

    h = fc_1 f; for each pair i < j: z_ij = classifiers_ij · fc_3(relu(fc_2 [h_i ; h_j])).
    Computed with the published parameters, but factored: the two halves of fc_2 are applied once
    per category and added per pair, and as nothing nonlinear stands behind the relu, fc_3 is
    folded into the pairs' weights. Only the pairs of a few categories are ever laid out over
    channels, so that memory grows with B·C·D and not with the C(C-1)/2 pairs times B·D.

    Args:
        categories: C.
        feature_dim: D, of the category features; also the width behind fc_2.
        hidden_dim: I, width behind fc_1.
    """

    def __init__(self, categories: int, feature_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc_1 = nn.Linear(feature_dim, hidden_dim)
        self.fc_2 = nn.Linear(2 * hidden_dim, feature_dim)
        self.fc_3 = nn.Linear(feature_dim, feature_dim)
        self.classifiers = PairLinear(categories * (categories - 1) // 2, feature_dim)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, D) features to (B, C(C-1)/2) logits, in the order (0,1), (0,2), … (1,2), …"""
        hidden = self.fc_1(features)
        first, second = self.fc_2.weight.chunk(2, dim=1)
        left = nn.functional.linear(hidden, first, self.fc_2.bias)
        right = nn.functional.linear(hidden, second)
        weight = self.classifiers.weight @ self.fc_3.weight
        bias = self.classifiers.weight @ self.fc_3.bias + self.classifiers.bias
        # Under autocast these are in half precision, in which sums over categories lose digits.
        kind = torch.promote_types(left.dtype, torch.float32)
        products = _PairProducts.apply(left.to(kind), right.to(kind), weight.to(kind))
        return products + bias.to(kind)


class PairLinear(nn.Module):
    """Weight and bias of one linear classifier for each pair."""

    def __init__(self, pairs: int, feature_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(pairs, feature_dim))
        self.bias = nn.Parameter(torch.zeros(pairs))
        nn.init.uniform_(self.weight, -(feature_dim**-0.5), feature_dim**-0.5)


class _PairProducts(torch.autograd.Function):
    """z[b, (i, j)] = relu(left[b, i] + right[b, j]) · weight[(i, j)], for i < j.

    A group of first categories i at a time, laid out against all that may be second to them. What
    the relu gave is computed again on the way back instead of being kept.
    """

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(left, right, weight)
        out = left.new_empty(len(left), len(weight))
        for group in _groups(left):
            active = group.active(left, right)
            products = active.mul_(group.grid(weight)).sum(3)
            out.T[group.pairs] = group.from_grid(products.permute(1, 2, 0))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        left, right, weight = ctx.saved_tensors
        grad_left, grad_right = torch.zeros_like(left), torch.zeros_like(right)
        grad_weight = torch.empty_like(weight)
        for group in _groups(left):
            slope = group.grid(grad.T).permute(2, 0, 1).unsqueeze(3)
            active = group.active(left, right)
            # The sign of what is not negative: 1 where it is active, and cheaper than a comparison.
            inner = active.sign().mul_(group.grid(weight)).mul_(slope)
            grad_weight[group.pairs] = group.from_grid(active.mul_(slope).sum(0))
            grad_left[:, group.first] = inner.sum(2)
            grad_right[:, group.second] += inner.sum(1)
        return grad_left, grad_right, grad_weight


class _Group:
    """Pairs of the first categories `start` … `stop` - 1, on a grid of first by second.

    Second are all categories behind `start`; places of the grid with j <= i belong to no pair.

    Attributes:
        first, second: slices of the categories.
        pairs: where the pairs stand in row-major order.
        places: their rows and columns on the grid; None: the grid has one row, and all are pairs.
    """

    def __init__(self, start: int, stop: int, categories: int, device: torch.device) -> None:
        self.first, self.second = slice(start, stop), slice(start + 1, categories)
        self.shape = (stop - start, categories - 1 - start)
        rows, columns = self.shape
        before = start * (2 * categories - start - 1) // 2
        self.pairs = slice(before, before + rows * columns - rows * (rows - 1) // 2)
        upper = torch.triu_indices(rows, columns, device=device) if rows > 1 else None
        self.places = None if upper is None else (upper[0], upper[1])

    def active(self, left: Tensor, right: Tensor) -> Tensor:
        """(B, first, second, D): relu of the sums."""
        return (left[:, self.first, None] + right[:, None, self.second]).relu_()

    def grid(self, values: Tensor) -> Tensor:
        """(pairs of all groups, …) to (first, second, …), 0 where there is no pair."""
        if self.places is None:
            return values[self.pairs].unsqueeze(0)
        grid = values.new_zeros(*self.shape, *values.shape[1:])
        grid[self.places] = values[self.pairs]
        return grid

    def from_grid(self, grid: Tensor) -> Tensor:
        """(first, second, …) to (pairs of this group, …)."""
        return grid[0] if self.places is None else grid[self.places]


def _groups(left: Tensor) -> Iterator[_Group]:
    """All pairs, by consecutive first categories."""
    categories, start = left.shape[1], 0
    while start < categories - 1:
        stop = start + _group_size(left, categories - 1 - start)
        yield _Group(start, stop, categories, left.device)
        start = stop


def _group_size(left: Tensor, second: int) -> int:
    """How many first categories go together, where the first of them has `second` pairs.

    As many as memory allows, for few kernels, but half of what is left at most: that bounds the
    empty places to a quarter, and the groups grow in number as log(categories).
    """
    entries = CPU_GROUP_ENTRIES if left.device.type == "cpu" else GPU_GROUP_ENTRIES
    batch, _, features = left.shape
    return max(1, min((second + 1) // 2, entries // (batch * second * features)))
