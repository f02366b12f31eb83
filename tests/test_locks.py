"""Two processes at one place: the second is told who is there, and a kill leaves no lock."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest
from trials import spec

from satl.core.errors import UserError
from satl.core.locks import held, hold_until_exit
from satl.training import engine
from satl.training.engine import train

HOLD = """
import sys, time
from pathlib import Path
from satl.core.locks import hold_until_exit
hold_until_exit(Path(sys.argv[1]), "results/x")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds tmp_path/folder/.lock for a minute."""
    command = [sys.executable, "-c", HOLD, tmp_path / "folder/.lock"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_process_is_told_who_is_there_and_a_kill_leaves_nothing(tmp_path, holder):
    lock = tmp_path / "folder/.lock"
    with pytest.raises(UserError, match=rf"^results/x: .*process {holder.pid} on .*Wait until"):
        hold_until_exit(lock, "results/x")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with held(lock, "results/x"):
        assert f"process {os.getpid()} on" in lock.read_text()
    with held(lock, "results/x"):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_no_error(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with held(tmp_path / ".lock", "x"):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match=r"\.lock: cannot be written \(Read-only file system\)"):
        hold_until_exit(tmp_path / ".lock", "x")


def test_a_run_that_another_process_trains_is_left_to_it(shared, observed, tmp_path, monkeypatch):
    """As a killed workflow leaves behind: its jobs may outlive it."""
    trainings, real = [], engine._train_together

    def while_training(*arguments):
        trainings.append(arguments)
        with pytest.raises(UserError, match=r"trained/.*: another process is at work there"):
            train(shared, [spec(observed, tmp_path / "second")])
        return real(*arguments)

    monkeypatch.setattr(engine, "_train_together", while_training)
    train(shared, [spec(observed, tmp_path / "first")])
    train(shared, [spec(observed, tmp_path / "second")])
    assert len(trainings) == 1, "the second has used what the first has finished"
    assert (tmp_path / "second/run.json").is_file()
