"""GPU leases, with real processes and no GPU."""

import logging
import os
import select
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from satl.core.errors import UserError
from satl.training.lease import leased_device, lock_folder

ROOT = Path(__file__).parent.parent
# Leases a device, says so (the log's lines, then the device), and keeps it until a line comes in.
HOLDER = """
import logging, sys
from pathlib import Path
from satl.training.lease import leased_device
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
folder, name, slots, count = sys.argv[1:]
with leased_device(
    name, int(slots), Path(folder), device_count=lambda: int(count), poll_seconds=0.05
) as device:
    print(device, flush=True)
    sys.stdin.readline()
"""


def no_torch():
    raise AssertionError("asked for the number of CUDA devices")


def lease(folder, name="cuda", slots=1, count=1, environment=None):
    return leased_device(
        name, slots, folder, device_count=lambda: count, environment=environment or {},
        poll_seconds=0.01,
    )  # fmt: skip


@pytest.fixture
def holder(tmp_path):
    """Starts processes that hold a lease; ends them all after the test."""
    started = []

    def start(name="cuda", slots=1, count=1, **environment):
        kept = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), name, str(slots), str(count)],
            cwd=ROOT, env={**kept, **environment}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["cpu", "mps", "cuda:3"])
def test_a_named_device_is_taken_as_it_is(tmp_path, name):
    with leased_device(name, 1, tmp_path / "locks", device_count=no_torch) as device:
        assert device == name
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_without_cuda_the_engine_decides(tmp_path, name):
    with lease(tmp_path / "locks", name, count=0) as device:
        assert device == name
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize("variable", ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID"])
def test_the_one_device_of_a_scheduler_job_is_not_leased(tmp_path, variable):
    environment = {variable: "7", "CUDA_VISIBLE_DEVICES": "2"}
    with lease(tmp_path / "locks", "auto", count=1, environment=environment) as device:
        assert device == "cuda"
    assert environment["CUDA_VISIBLE_DEVICES"] == "2"
    assert not (tmp_path / "locks").exists()


def test_a_scheduler_job_with_more_devices_leases_among_them(tmp_path):
    with ExitStack() as stack:
        taken = [
            stack.enter_context(lease(tmp_path, count=2, environment={"SLURM_JOB_ID": "7"}))
            for _ in range(2)
        ]
    assert taken == ["cuda:0", "cuda:1"]


def test_the_locks_of_two_scheduler_jobs_on_a_node_lie_apart():
    job, other = (lock_folder({"SLURM_JOB_ID": job}) for job in "78")
    assert job != other
    assert lock_folder({}) == job.parent == other.parent
    assert str(os.getuid()) in lock_folder({}).name


def test_leases_spread_before_they_share(tmp_path):
    with ExitStack() as stack:
        taken = [stack.enter_context(lease(tmp_path, slots=2, count=3)) for _ in range(6)]
    assert taken == ["cuda:0", "cuda:1", "cuda:2"] * 2


def test_the_emptiest_device_is_next(tmp_path):
    with ExitStack() as stack:
        first = ExitStack()
        first.enter_context(lease(tmp_path, slots=3, count=2))
        for _ in range(3):
            stack.enter_context(lease(tmp_path, slots=3, count=2))
        first.close()
        assert stack.enter_context(lease(tmp_path, slots=3, count=2)) == "cuda:0"


def test_an_error_in_the_block_frees_the_device(tmp_path):
    with pytest.raises(ZeroDivisionError), lease(tmp_path):
        _ = 1 / 0
    with lease(tmp_path) as device:
        assert device == "cuda:0"


def leases(process):
    """The device that a holder has got."""
    assert process.stdout.readline().startswith("leased GPU ")
    return process.stdout.readline().strip()


def waits(process):
    return process.stdout.readline().startswith("waiting for a GPU")


def test_processes_wait_for_each_other(holder):
    holding = [holder(slots=2, count=2) for _ in range(4)]  # they start at once
    devices = [leases(process) for process in holding]
    assert Counter(devices) == {"cuda:0": 2, "cuda:1": 2}
    late = [holder(slots=2, count=2) for _ in range(2)]
    assert all(waits(process) for process in late)
    for process, device in zip(holding[:2], devices[:2], strict=True):
        process.communicate("\n", timeout=20)
        ready, _, _ = select.select([waiting.stdout for waiting in late], [], [], 20)
        assert len(ready) == 1
        [lucky] = [waiting for waiting in late if waiting.stdout in ready]
        assert leases(lucky) == device
        late.remove(lucky)


def test_a_killed_holder_leaves_its_device(holder):
    first = holder()
    assert leases(first) == "cuda:0"
    second = holder()
    assert waits(second)
    os.kill(first.pid, signal.SIGKILL)
    assert leases(second) == "cuda:0"


def test_experiments_that_see_different_devices_do_not_collide(holder):
    for visible, device in (("1", "cuda:0"), ("0,1", "cuda:0"), ("1,2", "cuda:1")):
        process = holder(count=len(visible.split(",")), CUDA_VISIBLE_DEVICES=visible)
        assert leases(process) == device
    assert waits(holder(count=2, CUDA_VISIBLE_DEVICES="1,0"))


def test_waiting_is_said_once(tmp_path, holder, caplog):
    caplog.set_level(logging.INFO, "satl")
    environment = {"CUDA_VISIBLE_DEVICES": "GPU-ab"}
    first = holder(**environment)
    assert leases(first) == "cuda:0"
    threading.Timer(0.3, first.kill).start()
    with lease(tmp_path, environment=environment):
        pass
    waiting, leased = caplog.messages
    assert waiting.startswith("waiting for a GPU: all slots are taken (1 per device,")
    assert str(tmp_path) in waiting
    assert leased == "leased GPU GPU-ab as cuda:0"


@pytest.mark.parametrize("slots", [0, -1])
def test_no_run_at_all_is_an_error(tmp_path, slots):
    with pytest.raises(UserError, match="runs_per_device"), lease(tmp_path, slots=slots):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"file/locks: .* TMPDIR"),
        lease(tmp_path / "file" / "locks"),
    ):
        pass


def test_a_folder_of_other_users_is_refused(tmp_path, monkeypatch):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(UserError, match=r"open: .*other users.* TMPDIR"), lease(tmp_path / "open"):
        pass
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(UserError, match=r"theirs: .*other users"), lease(tmp_path / "theirs"):
        pass


def test_a_lease_imports_no_torch():
    code = "import sys, satl.training.lease; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
