"""Number formats of training: float32 throughout, or bfloat16 where it does no harm."""

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """The context of a forward pass: `fp32` changes nothing, `bf16` is PyTorch's autocast."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
