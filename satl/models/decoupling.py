"""Semantic decoupling: one feature vector per category, by attention over positions."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Channels are taken in groups such that a group's sigmoids have about this many entries: on a CPU
# they then stay in its cache, while a GPU (not measured) wants few and large kernels.
CPU_GROUP_ENTRIES = 2**17
GPU_GROUP_ENTRIES = 2**26
# Up to so many entries all channels are one group, whose sigmoids are kept for the way back.
CPU_KEPT_ENTRIES = 2**20
EXPORTED_GROUP = 64  # channels: an exported graph is one for batches of every size


class SemanticDecoupling(nn.Module):
    """Category features guided by word embeddings (SSGRL, Chen et al., ICCV 2019, Eq. 2-5).

    a_p = fc1 f_p, b_c = fc2 v_c, coefficient = fc4(fc3(tanh(a_p * b_c))), softmax over positions.
    No nonlinearity stands between fc3 and fc4 and the softmax ignores constants, so the
    coefficient is tanh(a_p * b_c) · w with w = fc4.weight · fc3.weight; and as
    tanh x = 2 σ(2x) - 1, it is σ(a_p * 2 b_c) · 2w, whose σ is computed much faster. The
    parameters are those of the published module (the biases of fc3 and fc4, kept for its
    state_dict, get no gradient), and only a group of channels is ever laid out over positions
    and categories.

    Args:
        feature_dim: D, channels of the feature map.
        attention_dim: I, width of the attention.
        word_dim: length of the word embeddings.
    """

    def __init__(self, feature_dim: int, attention_dim: int, word_dim: int = 300) -> None:
        super().__init__()
        self.fc1 = nn.Linear(feature_dim, attention_dim, bias=False)
        self.fc2 = nn.Linear(word_dim, attention_dim, bias=False)
        self.fc3 = nn.Linear(attention_dim, attention_dim)
        self.fc4 = nn.Linear(attention_dim, 1)
        self.fc3.bias.requires_grad_(False)
        self.fc4.bias.requires_grad_(False)

    def attention(self, positions: Tensor, word_embeddings: Tensor) -> Tensor:
        """(B, P, D) features, (C, word_dim) word embeddings: (B, P, C) float32, of sum 1 over P."""
        keys, queries = self.fc1(positions), self.fc2(word_embeddings)
        with torch.autocast(positions.device.type, enabled=False):
            weight = (self.fc4.weight @ self.fc3.weight).squeeze(0)
            scores = _Scores.apply(keys.float(), 2 * queries.float(), 2 * weight)
        return torch.softmax(scores, dim=1)

    def forward(self, feature_maps: Tensor, word_embeddings: Tensor) -> Tensor:
        """(B, D, H, W) feature maps and (C, word_dim) word embeddings to (B, C, D) features."""
        positions = feature_maps.flatten(2).transpose(1, 2)
        attention = self.attention(positions, word_embeddings).transpose(1, 2)
        return attention.to(positions.dtype) @ positions


class _Scores(torch.autograd.Function):
    """scores[b, p, c] = σ(a[b, p] * b[c]) · w, keeping no σ but a lone group's.

    Channels come first: each is then an outer product of positions and categories, and what is
    summed over channels, positions or categories is a product with a matrix.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, w: Tensor) -> Tensor:
        size = _group_size(a, b)
        keys, queries = a.flatten(0, 1).T.contiguous(), b.T.contiguous()
        scores = a.new_zeros(keys.shape[1] * len(b))
        for key, query, weight in zip(
            keys.split(size), queries.split(size), w.split(size), strict=True
        ):
            sigma = _sigma(key, query)
            scores = scores + weight @ sigma.flatten(1)
        ctx.save_for_backward(keys, queries, w, *([sigma] if size >= len(w) else []))
        ctx.size = size
        return scores.view(*a.shape[:2], len(b))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        keys, queries, w, *kept = ctx.saved_tensors
        slope = grad.flatten(0, 1).contiguous()
        grad_keys, grad_queries, grad_w = map(torch.empty_like, (keys, queries, w))
        for start in range(0, len(w), ctx.size):
            group = slice(start, start + ctx.size)
            key, query, weight = keys[group], queries[group], w[group].unsqueeze(1)
            sigma = kept[0] if kept else _sigma(key, query)
            grad_w[group] = sigma.flatten(1) @ slope.flatten()
            # slope · σ (1 - σ), in as few passes over memory as can be; w comes in last.
            inner = sigma * slope
            inner.addcmul_(inner, sigma, value=-1)
            grad_keys[group] = (inner @ query.unsqueeze(2)).squeeze(2) * weight
            grad_queries[group] = (key.unsqueeze(1) @ inner).squeeze(1) * weight
        return grad_keys.T.view(*grad.shape[:2], len(w)), grad_queries.T, grad_w


def _group_size(a: Tensor, b: Tensor) -> int:
    """How many channels of (B, P, I) and (C, I) are laid out at once."""
    if torch.compiler.is_exporting():
        return EXPORTED_GROUP
    on_cpu = a.device.type == "cpu"
    channels, per_channel = len(b.T), max(1, a.shape[0] * a.shape[1] * len(b))
    if channels * per_channel <= (CPU_KEPT_ENTRIES if on_cpu else GPU_GROUP_ENTRIES):
        return max(1, channels)
    return max(1, (CPU_GROUP_ENTRIES if on_cpu else GPU_GROUP_ENTRIES) // per_channel)


def _sigma(key: Tensor, query: Tensor) -> Tensor:
    """(G, N) and (G, C) to (G, N, C)."""
    return (key.unsqueeze(2) * query.unsqueeze(1)).sigmoid_()
