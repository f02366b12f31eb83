"""Pair head: a logit for every pair of categories, that both are in the image."""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class PairHead(nn.Module):
    """Co-occurrence logits of category pairs (SST, Chen et al., AAAI 2022; used by HST too).

    h = fc_1 f; for each pair i < j: z_ij = classifiers_ij · fc_3(relu(fc_2 [h_i ; h_j])).
    Computed with the published parameters, but factored: the two halves of fc_2 are applied once
    per category and added per pair, and as nothing nonlinear stands behind the relu, fc_3 is
    folded into the pairs' weights. Only the pairs of one category are ever laid out over
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
        return _PairProducts.apply(left, right, weight) + bias


class PairLinear(nn.Module):
    """Weight and bias of one linear classifier for each pair."""

    def __init__(self, pairs: int, feature_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(pairs, feature_dim))
        self.bias = nn.Parameter(torch.zeros(pairs))
        nn.init.uniform_(self.weight, -(feature_dim**-0.5), feature_dim**-0.5)


class _PairProducts(torch.autograd.Function):
    """z[b, (i, j)] = relu(left[b, i] + right[b, j]) · weight[(i, j)], for i < j.

    One category i at a time: its pairs (i, i+1) … (i, C-1) are consecutive, so that slices do
    for gathering. What the relu gave is computed again on the way back instead of being kept.
    """

    @staticmethod
    def forward(ctx, left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(left, right, weight)
        out = left.new_empty(len(left), len(weight))
        for i, pairs in enumerate(_pairs_by_first(left.shape[1])):
            active = (left[:, i, None] + right[:, i + 1 :]).relu_()
            out[:, pairs] = active.mul_(weight[pairs]).sum(2)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        left, right, weight = ctx.saved_tensors
        grad_left, grad_right = torch.zeros_like(left), torch.zeros_like(right)
        grad_weight = torch.empty_like(weight)
        for i, pairs in enumerate(_pairs_by_first(left.shape[1])):
            slope = grad[:, pairs, None]
            active = (left[:, i, None] + right[:, i + 1 :]).relu_()
            inner = (active > 0) * weight[pairs]
            inner *= slope
            grad_weight[pairs] = active.mul_(slope).sum(0)
            grad_left[:, i] = inner.sum(1)
            grad_right[:, i + 1 :] += inner
        return grad_left, grad_right, grad_weight


def _pairs_by_first(categories: int) -> list[slice]:
    """Where the pairs (i, i+1) … (i, C-1) stand in row-major order, for i = 0 … C-2."""
    slices, start = [], 0
    for i in range(categories - 1):
        slices.append(slice(start, start + categories - 1 - i))
        start = slices[-1].stop
    return slices
