"""Batches on their way to the device, one ahead of the one in use."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


def prefetch(batches: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield `batches` on `device`, in their order.

    On CUDA the next batch is fetched from `batches` and copied, on a stream of its own, while
    the GPU works on the last; elsewhere batches come one by one, when they are asked for.
    """
    if device.type != "cuda":
        for batch in batches:
            yield batch.to(device)
        return
    stream = torch.cuda.Stream(device)
    for copy, ready in one_ahead(_copy(batch, device, stream) for batch in batches):
        current = torch.cuda.current_stream(device)
        current.wait_event(ready)
        # The memory belongs to the copying stream, which must not reuse it too early.
        copy.record_stream(current)
        yield copy


def _copy(
    batch: Tensor, device: torch.device, stream: torch.cuda.Stream
) -> tuple[Tensor, torch.cuda.Event]:
    """Start to copy; the event comes when it is done."""
    with torch.cuda.stream(stream):
        # From memory that is not pinned, even a non-blocking copy would wait.
        source = batch if batch.is_pinned() else batch.pin_memory()
        copy = source.to(device, non_blocking=True)
        return copy, stream.record_event()


def one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield `items`, having fetched the one after before each is handed out."""
    iterator = iter(items)
    try:
        waiting = next(iterator)
    except StopIteration:
        return
    for item in iterator:
        yield waiting
        waiting = item
    yield waiting
