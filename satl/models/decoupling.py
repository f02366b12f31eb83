"""Semantic decoupling: one feature vector per category, by attention over positions."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Categories are taken in groups such that a group's sigmoids have about this many entries: on a
# CPU they then stay in its cache, while a GPU (not measured) wants few and large kernels.
CPU_GROUP_ENTRIES = 2**20
GPU_GROUP_ENTRIES = 2**26
EXPORTED_GROUP = 8  # categories: an exported graph is one for batches of every size


class SemanticDecoupling(nn.Module):
    """Category features guided by word embeddings (SSGRL, Chen et al., ICCV 2019, Eq. 2-5).

    a_p = fc1 f_p, b_c = fc2 v_c, coefficient = fc4(fc3(tanh(a_p * b_c))), softmax over positions.
    No nonlinearity stands between fc3 and fc4 and the softmax ignores constants, so the
    coefficient is tanh(a_p * b_c) · w with w = fc4.weight · fc3.weight; and as
    tanh x = 2 σ(2x) - 1, it is σ(a_p * 2 b_c) · 2w, whose σ is computed much faster. The
    parameters are those of the published module (the biases of fc3 and fc4, kept for its
    state_dict, get no gradient), and only a group of categories is ever laid out over positions
    and channels.

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
    """scores[b, p, c] = σ(a[b, p] * b[c]) · w, keeping no σ but a lone group's."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, w: Tensor) -> Tensor:
        groups = _groups(a, b)
        scores = []
        for group in groups:
            sigma = _sigma(a, group)
            scores.append(sigma @ w)
        ctx.save_for_backward(a, b, w, *([sigma] if len(groups) == 1 else []))
        return torch.cat(scores, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b, w, *kept = ctx.saved_tensors
        grad_a, grad_w = torch.zeros_like(a), torch.zeros_like(w)
        grad_b = []
        start = 0
        for group in _groups(a, b):
            slope = grad[:, :, start : start + len(group)].contiguous()
            start += len(group)
            sigma = kept[0] if kept else _sigma(a, group)
            grad_w += slope.reshape(-1) @ sigma.view(-1, len(w))
            # slope · σ (1 - σ), in as few passes over memory as can be; w comes in last.
            inner = sigma * slope.unsqueeze(3)
            inner.addcmul_(inner, sigma, value=-1)
            grad_a += (inner * group).sum(2).mul_(w)
            grad_b.append(inner.mul_(a.unsqueeze(2)).sum((0, 1)).mul_(w))
        return grad_a, torch.cat(grad_b), grad_w


def _groups(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    if torch.compiler.is_exporting():
        return b.split(EXPORTED_GROUP)
    entries = CPU_GROUP_ENTRIES if a.device.type == "cpu" else GPU_GROUP_ENTRIES
    return b.split(max(1, entries // max(1, a.numel())))


def _sigma(a: Tensor, group: Tensor) -> Tensor:
    """(B, P, I) and (G, I) to (B, P, G, I)."""
    return (a.unsqueeze(2) * group).sigmoid_()
