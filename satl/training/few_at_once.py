"""Images through frozen stages: few at once on a CPU, whatever the batch."""

from collections.abc import Callable

import torch
from torch import Tensor

# 20 images of 160 x 160. The maps of more are so large that the C library has each of them mapped
# anew, at a page fault for every 4 kB.
CPU_PIXELS = 2**19


def few_at_once(stages: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """What `stages` make of (B, 3, S, S) images: (B, …), as in one call but for last digits.

    So training, `satl features` and prediction must all go through here to agree bit for bit.
    """
    maps = [stages(part) for part in images.split(_size(images))]
    return maps[0] if len(maps) == 1 else torch.cat(maps)


def _size(images: Tensor) -> int:
    """How many of the images go together."""
    if images.device.type != "cpu":
        return len(images)
    return max(1, CPU_PIXELS // images[0, 0].numel())
