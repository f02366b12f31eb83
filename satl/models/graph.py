"""Gated graph over categories, and the co-occurrence graph that it runs on."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cooccurrence(labels: Tensor) -> Tensor:
    """How often category j is present where category i is: A[i, j] = P(j | i).

    Counted over known positives; the diagonal is 1. A category that is never known to be
    present gets a row of zeros, where the published code divides by zero.

    Args:
        labels: (N, C), +1 / -1 / 0.

    Returns:
        (C, C) float64.
    """
    present = (labels > 0).double()
    together = present.T @ present
    return together / together.diagonal().clamp(min=1).unsqueeze(1)


class GatedGraph(nn.Module):
    """Gated graph network over category features (SSGRL, Chen et al., ICCV 2019, Eq. 6-7).

    In each step a category hears its neighbours, a = [A h ; Aᵀ h], and changes its state h as a
    gated recurrent unit would: z = σ(fc_1_w a + fc_1_u h), r = σ(fc_2_w a + fc_2_u h),
    h' = tanh(fc_3_w a + fc_3_u (r ∘ h)), h ← (1 - z) ∘ h + z ∘ h'.
    The parameters are those of the published module.

    Args:
        feature_dim: D.
        steps: how often the states are updated.
    """

    def __init__(self, feature_dim: int, steps: int = 3) -> None:
        super().__init__()
        self.steps = steps
        self.fc_1_w, self.fc_1_u = _message_and_state(feature_dim)
        self.fc_2_w, self.fc_2_u = _message_and_state(feature_dim)
        self.fc_3_w, self.fc_3_u = _message_and_state(feature_dim)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """(B, C, D) category features and the (C, C) graph to (B, C, D) states."""
        adjacency = adjacency.to(nodes.dtype)
        both_ways = torch.cat([adjacency, adjacency.T])
        # Few large products instead of many small ones: one for all that messages enter, and one
        # for both gates of the states.
        heard = (self.fc_1_w, self.fc_2_w, self.fc_3_w)
        own = (self.fc_1_u, self.fc_2_u, self.fc_3_u)
        from_messages = torch.cat([part.weight for part in heard])
        from_states = torch.cat([part.weight for part in own[:2]])
        bias = torch.cat([part.bias for part in heard]) + torch.cat([part.bias for part in own])
        width = nodes.shape[2]
        state = nodes
        for _ in range(self.steps):
            message = torch.cat((both_ways @ state).chunk(2, dim=1), dim=2)
            entering = F.linear(message, from_messages, bias)
            gates, new = entering.split([2 * width, width], dim=2)
            update, reset = torch.sigmoid(gates + F.linear(state, from_states)).chunk(2, dim=2)
            candidate = torch.tanh(new + F.linear(reset * state, self.fc_3_u.weight))
            # Under autocast the gates are in half precision, whatever the features are in.
            state = torch.lerp(state, candidate.to(state.dtype), update.to(state.dtype))
        return state


def _message_and_state(feature_dim: int) -> tuple[nn.Linear, nn.Linear]:
    return nn.Linear(2 * feature_dim, feature_dim), nn.Linear(feature_dim, feature_dim)
