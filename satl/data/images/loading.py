"""Batches of a dataset that is read by worker processes."""

import atexit
import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, Dataset

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
    """
    loader = DataLoader(
        dataset,
        batch_sampler=order,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=ignore_stop_signals,
        multiprocessing_context=START_METHOD if workers else None,
    )
    try:
        with stop_signals_held():
            batches = iter(loader)
        yield from batches
    except UserError as error:
        # A worker process sends its whole traceback along in the message.
        text = str(error).rpartition(f"{type(error).__name__}: ")[2]
        raise UserError(text.strip()) from error


@atexit.register
def _kill_workers() -> None:
    # Of batches not read to their end. Python would send them SIGTERM, and wait forever.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would call it a failure
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()
