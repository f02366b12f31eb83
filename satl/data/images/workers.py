"""Processes that decode images: they leave SIGTERM and Ctrl-C to the process that they serve.

A scheduler signals every process of a job, a terminal every process of the foreground group.
Were a worker to die of it, the training would fail before it could save a checkpoint.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def ignore_stop_signals(worker: int) -> None:
    """`worker_init_fn` of a DataLoader. Workers end when their batches or their parent do."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


@contextmanager
def stop_signals_held() -> Iterator[None]:
    """Start workers in here: a signal that comes before they can ignore it waits until they do.

    Workers inherit the mask, however they are started; a fork server, which starts the workers
    of all epochs, keeps it.
    """
    # It comes with the first worker, and would lift the mask.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
