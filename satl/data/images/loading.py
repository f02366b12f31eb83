"""Batches of a dataset that is read by worker processes."""

import atexit
import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, Dataset, default_collate

from satl.core.errors import UserError
from satl.data.images.workers import ignore_stop_signals, stop_signals_held

# Workers use Pillow, NumPy and one thread of torch, none of which a fork beside other threads
# harms, and a fork takes milliseconds per epoch where a spawn imports torch. Not the fork server
# (the default of Python 3.14): a signal to the whole job would end it, and with it all workers.
START_METHOD = "fork" if sys.platform == "linux" else None


def loaded(
    dataset: Dataset[Any], order: Sequence[Sequence[int]], workers: int, pin_memory: bool = False
) -> Iterator[Any]:
    """Yield the items of `dataset` in the batches of `order`, each collated.

    Args:
        dataset: gives an item for an index.
        order: the indices of each batch.
        workers: processes that read items.
        pin_memory: whether batches lie in pinned memory: only for a CUDA device.

    Raises:
        UserError: as `dataset` does.
    """
    loader = DataLoader(
        _ErrorsAsItems(dataset),
        batch_sampler=order,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=ignore_stop_signals,
        multiprocessing_context=START_METHOD if workers else None,
        collate_fn=_error_or_batch,
    )
    with stop_signals_held():
        batches = iter(loader)
    try:
        for batch in batches:
            if isinstance(batch, UserError):
                raise batch
            yield batch
    finally:
        # Here, and not when the garbage collector finds it in the traceback's cycle: that closes
        # the workers' queues first, and torch then waits ten seconds for each worker.
        del batches


class _ErrorsAsItems(Dataset[Any]):
    """Gives an error as an item: where a worker raises it, torch adds that worker's traceback to
    the message, and itself to the error's, so that the workers cannot be ended at once.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except UserError as error:
            return error


def _error_or_batch(items: list[Any]) -> Any:
    errors = [item for item in items if isinstance(item, UserError)]
    return errors[0] if errors else default_collate(items)


@atexit.register
def _kill_workers() -> None:
    # Of batches not read to their end. Python would send them SIGTERM, and wait forever.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would call it a failure
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()
