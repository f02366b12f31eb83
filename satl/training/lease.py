"""Leases of CUDA devices, so that training jobs on one machine spread over its GPUs.

Snakemake counts GPUs but gives local jobs no GPU ids, so the jobs agree among themselves: a device
has `runs_per_device` slots, a slot is a locked file, and the kernel unlocks it when the process
that holds it ends, in whatever way. Locks on network file systems are unreliable, and a device
belongs to one machine anyway: the files lie in that machine's temporary folder, one folder per
user. Users do not see each other's leases; and all of a user's experiments must name the devices
in the same way (numbers or UUIDs) where they set CUDA_VISIBLE_DEVICES.
"""

import contextlib
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from satl.core.errors import UserError

LOG = logging.getLogger(__name__)
# Schedulers that give each job devices of its own; they set these in the job's environment.
SCHEDULER_JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "SGE_JOB_SPOOL_DIR")


def lock_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the locks of this user on this machine (in this scheduler's job, if any) lie."""
    folder = Path(tempfile.gettempdir(), f"satl-bench-{os.getuid()}")
    job = scheduler_job(environment)
    # Two jobs on one node may both call their device 0, and mean different ones.
    return folder / job if job else folder


def scheduler_job(environment: Mapping[str, str] = os.environ) -> str | None:
    """A name for the scheduler's job that this process runs in; None outside of any."""
    for variable in SCHEDULER_JOBS:
        if value := environment.get(variable):
            return f"{variable}-{value}".replace("/", "-")
    return None


@contextmanager
def leased_device(
    name: str,
    runs_per_device: int = 1,
    folder: Path | None = None,
    *,
    device_count: Callable[[], int] | None = None,
    environment: Mapping[str, str] = os.environ,
    poll_seconds: float = 1.0,
) -> Iterator[str]:
    """Yield the torch device to use for `name`; a leased one is free again after the block.

    `cuda` and `auto` lease the visible CUDA device with the fewest slots taken, and wait where all
    are. Anything else, and `auto` or `cuda` where no CUDA device is visible, is yielded as it is.
    In a scheduler's job with one device nothing is leased: the device is that job's own.

    Args:
        name: `auto`, `cpu`, `cuda`, `cuda:N`, `mps`.
        runs_per_device: how many processes may hold one device, at least 1.
        folder: where the locks lie; `lock_folder()` by default.
        device_count: how many CUDA devices are visible; asks torch by default.
        environment: read for CUDA_VISIBLE_DEVICES and the scheduler's variables, never changed.
        poll_seconds: between two looks for a free slot.

    Raises:
        UserError: `runs_per_device` is below 1, or the lock folder cannot be written.
    """
    if runs_per_device < 1:
        raise UserError(f"runs_per_device: {runs_per_device} is below 1; at least one run must fit")
    count = (device_count or _cuda_device_count)() if name in ("auto", "cuda") else 0
    if count == 0:
        yield name
    elif count == 1 and scheduler_job(environment):
        yield "cuda"
    else:
        devices = _physical_names(count, environment)
        locks = _Locks(folder or lock_folder(environment), devices, runs_per_device)
        with ExitStack() as lease:
            index = locks.wait(lease, poll_seconds)
            yield f"cuda:{index}"


def _cuda_device_count() -> int:
    import torch  # not at the top: a lease needs no more of torch than this

    return torch.cuda.device_count()


def _physical_names(count: int, environment: Mapping[str, str]) -> list[str]:
    """What to call device 0 … count - 1 between processes that see different devices."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(index) for index in range(count)]
    # CUDA ignores what follows the first name that it does not know: `count` says how many it took.
    names = [entry.strip().replace("/", "-") for entry in visible.split(",")][:count]
    return names + [str(index) for index in range(len(names), count)]


class _Locks:
    """The slots of some devices, as lock files in one folder."""

    def __init__(self, folder: Path, devices: list[str], slots: int):
        self.folder = folder
        self.devices = devices
        self.slots = slots
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.stat()
        except OSError as error:
            raise self._unusable(error) from error
        # In a shared temporary folder, somebody else could have made it first.
        if status.st_uid != os.getuid() or status.st_mode & stat.S_IWOTH:
            raise self._unusable(OSError("it belongs to, or can be written by, other users"))

    def wait(self, lease: ExitStack, poll_seconds: float) -> int:
        """Index of the device taken; `lease` holds its slot until it is closed."""
        waiting = False
        while (index := self._take(lease)) is None:
            if not waiting:
                LOG.info(
                    "waiting for a GPU: all slots are taken "
                    "(%d per device, devices %s; locks in %s)",
                    self.slots,
                    ", ".join(self.devices),
                    self.folder,
                )
                waiting = True
            time.sleep(poll_seconds)
        LOG.info("leased GPU %s as cuda:%d", self.devices[index], index)
        return index

    def _take(self, lease: ExitStack) -> int | None:
        try:
            # A look at a slot takes it for a moment; only one process at a time looks.
            with FileLock(self.folder / "looking.lock"), ExitStack() as looked_at:
                free = [self._free_slots(device, looked_at) for device in self.devices]
                most = max(free, key=len)
                if not most:
                    return None
                # These locks count: the slot taken twice stays taken when `looked_at` lets go.
                lease.enter_context(most[0].acquire(blocking=False))
                return free.index(most)
        except OSError as error:
            raise self._unusable(error) from error

    def _free_slots(self, device: str, held: ExitStack) -> list[FileLock]:
        free = []
        for slot in range(self.slots):
            lock = FileLock(self.folder / f"device-{device}-slot-{slot}.lock")
            with contextlib.suppress(Timeout):
                held.enter_context(lock.acquire(blocking=False))
                free.append(lock)
        return free

    def _unusable(self, error: OSError) -> UserError:
        return UserError(
            f"{self.folder}: GPUs cannot be leased there ({error.strerror or error}); set "
            "TMPDIR to a folder on this machine that you may write, or name a device: cuda:0"
        )
