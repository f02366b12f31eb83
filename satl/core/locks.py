"""A lock that cannot be left behind: the kernel holds it, and only for a living process."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from satl.core.errors import UserError

_HELD: list[IO[str]] = []


def hold_until_exit(path: Path, what: str) -> None:
    """Lock the file `path` until this process ends, in whatever way; see `held`."""
    _HELD.append(_lock(path, what))


@contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Lock the file `path` for the block. Where the file system has no locks, nothing is locked.

    Args:
        path: the lock file; it stays, and who has locked it last stands in it.
        what: what it guards, for the message.

    Raises:
        UserError: another process holds it, which is named, or the file cannot be written.
    """
    with _lock(path, what):
        yield


def _lock(path: Path, what: str) -> IO[str]:
    """The open file that holds the lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (it stays open)
        try:
            _take(file, what)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    return file


def _take(file: IO[str], what: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        raise UserError(
            f"{what}: another process is at work there ({file.read().strip()}). Wait until it "
            "has ended, or stop it; what it has finished will be used"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()


def holder(path: Path) -> str | None:
    """Who holds the lock, as far as its note tells: on another machine, who held it last.

    Takes no lock itself, as a process that starts just then would be turned away.
    """
    try:
        note = path.read_text(encoding="utf-8").strip()
        _, number, _, host = note.split()
        if host == socket.gethostname():
            os.kill(int(number), 0)
    except PermissionError:
        return note  # it is somebody else's process
    except (OSError, ValueError):
        return None
    return note
