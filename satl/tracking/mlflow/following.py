"""Logs runs while they train, from the files that training leaves; training knows nothing of it."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from satl.config import Experiment
from satl.core.errors import UserError
from satl.runs.trainings import workflow_at_work
from satl.tracking.mlflow.tracking import Sender
from satl.tracking.mlflow.watching import Watcher

log = logging.getLogger(__name__)

SECONDS = 3  # between two looks


def follow(
    experiment: Experiment, results: Path, uri: str | None = None, while_workflow: bool = False
) -> None:
    """Log what is new, again and again.

    It may be killed at any moment: whoever looks next, `track` included, continues what it left.
    A store that cannot be used for the moment is waited for.

    Args:
        experiment: the experiment.
        results: its folder, results/NAME.
        uri: an MLflow store; see `satl.tracking.mlflow.store.Store`.
        while_workflow: end once no workflow is at work on the experiment; else never.
    """
    goes_on = workflow_at_work(results) if while_workflow else lambda: True
    with _only_follower(results, goes_on) as alone:
        if alone:
            _follow(Watcher(experiment, results), Sender(experiment, results, uri), goes_on)


def _follow(watcher: Watcher, sender: Sender, goes_on: Callable[[], bool]) -> None:
    said = ""
    while True:
        last = not goes_on()  # asked before the look, which then sees what was left at the end
        if last:
            sender.forget()
        try:
            sender.send_new(watcher.look())
            trouble = "\n".join(map(str, watcher.errors.values()))
        except (UserError, OSError) as error:
            trouble = f"{error}; trying again"
        if trouble and trouble != said:
            log.warning(trouble)
        said = trouble
        if last:
            return
        time.sleep(SECONDS)


@contextmanager
def _only_follower(results: Path, goes_on: Callable[[], bool]) -> Iterator[bool]:
    """Wait until no other follows the experiment; False where there is nothing more to wait for.

    The follower of a workflow that has just ended may still have its last look.
    """
    lock = FileLock(Path(results, ".watch.lock"))
    while not lock.is_locked:
        with suppress(Timeout):
            lock.acquire(timeout=SECONDS)
        if not lock.is_locked and not goes_on():
            yield False
            return
    with lock:
        yield True
