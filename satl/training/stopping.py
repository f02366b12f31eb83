"""Stopping cleanly: SIGTERM and Ctrl-C wait until the trainer has saved its checkpoints."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """Training has stopped at a signal; rerunning the same command resumes it.

    Args:
        number: of the signal.
        unsaved: names of runs whose last checkpoint is an earlier one.
    """

    def __init__(self, number: int, unsaved: Sequence[str] = ()) -> None:
        name = signal.Signals(number).name
        saved = " after saving a checkpoint"
        if unsaved:
            saved = f"; {', '.join(unsaved)} will resume from an earlier checkpoint"
        super().__init__(f"stopped by {name}{saved}")
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
