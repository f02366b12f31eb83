"""Stopping cleanly: SIGTERM and Ctrl-C wait until the trainer has saved its checkpoints."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """Training has stopped at a signal, after saving its checkpoints."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} after saving a checkpoint")
        self.exit_status = 128 + number


class StopRequest:
    """Which signal has asked to stop; None while none has."""

    signal: int | None = None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note SIGTERM (a scheduler's warning) and SIGINT in what is yielded, instead of dying.

    A second signal acts at once, as if there were no checkpoint to save.
    """
    request = StopRequest()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _: FrameType | None) -> None:
        request.signal = number
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
