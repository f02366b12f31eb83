"""From the catalogue to the data folder: download, verify, unpack, and write down what it was.

Whatever is complete has a receipt; whatever is there without one is the user's own and is used as
it is. Only one process at a time works on a file; the others wait for it.
"""

import errno
import json
import logging
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from satl.config import Experiment
from satl.config.catalogue import Checks
from satl.core.errors import UserError
from satl.core.files import write_json, writing
from satl.download.checksums import Fingerprint
from satl.download.http import RetryPolicy
from satl.download.needs import is_user_provided, provided, receipt, sources_of
from satl.download.obtain import Fetcher, Obtained, Progress
from satl.download.unpack import Damaged, check_space, unpack

LOG = logging.getLogger(__name__)
RETRY_POLICY = RetryPolicy()
JOBS = 3


def provide(
    experiment: Experiment, names: list[str], retry: RetryPolicy = RETRY_POLICY, jobs: int = JOBS
) -> None:
    """Download, verify and unpack the sources `names`, `jobs` at a time; what is there stays.

    Raises:
        UserError: some cannot be had, verified or unpacked, or the disk has no room. The others
            are complete then, and a repetition resumes with what has arrived of these.
    """
    stop = threading.Event()
    work = [_Job(experiment, name, retry, Progress(name, stop)) for name in names]
    missing = [job for job in work if not job.is_done()]
    if not missing:
        return
    wanted = sum(max(0, job.source.space - job.fetcher().arrived()) for job in missing)
    check_space(Path(experiment.data_folder), wanted, ", ".join(job.name for job in missing))
    errors = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for future in as_completed([pool.submit(job.run) for job in missing]):
                try:
                    future.result()
                except UserError as error:
                    errors.append(str(error))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    if errors:
        raise UserError("\n".join(errors))


@dataclass(frozen=True)
class _Job:
    experiment: Experiment
    name: str
    retry: RetryPolicy
    progress: Progress

    @property
    def source(self):
        return sources_of(self.experiment)[self.name]

    @property
    def target(self) -> Path:
        return provided(self.experiment, self.name)

    @property
    def receipt(self) -> Path:
        return receipt(self.experiment, self.name)

    def fetcher(self) -> Fetcher:
        archive = Path(self.experiment.data_folder, "downloads", self.name)
        return Fetcher(self.source, self._checks(), archive, self.retry, self.progress)

    def is_done(self) -> bool:
        """Whether there is nothing to do. Raises UserError if the config asks for another file."""
        if is_user_provided(self.experiment, self.name):
            LOG.info("%s: was not downloaded by satl (no receipt); used unchanged", self.target)
            return True
        if not (self.target.exists() and self.receipt.exists()):
            return False
        fault = Fingerprint(**self._recorded()).mismatch(self.source.checks)
        if fault:
            raise UserError(
                f"{self.target}: made from another file than the config asks for ({fault}, says "
                f"{self.receipt}); to download it anew, delete both"
            )
        return True

    def run(self) -> None:
        """All of it. Raises UserError, or Stopped."""
        with self._lock():
            if self.is_done():  # by the process that had the lock
                return
            try:
                obtained = self.fetcher().obtain()
                self._put(obtained)
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                raise UserError(
                    f"{self.name}: cannot be written to {self.experiment.data_folder} "
                    f"({error.strerror or error}); {'free some space and ' if full else ''}run the "
                    "same command again, and it resumes with what has arrived"
                ) from error
            self._record(obtained)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        folder = Path(self.experiment.data_folder, "downloads")
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".{self.name}.lock")
        waits = False
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0.5)
            except Timeout:
                if not waits:
                    LOG.info("%s: waiting for another process that downloads it", self.name)
                waits = True
                self.progress.raise_if_stopped()
        try:
            yield
        finally:
            lock.release()

    def _recorded(self) -> dict[str, Any]:
        """Size and checksums of the receipt."""
        try:
            found = json.loads(self.receipt.read_text(encoding="utf-8"))
            return {key: found[key] for key in ("bytes", "md5", "sha256", "git_blob")}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.receipt}: not a receipt; delete it") from error

    def _checks(self) -> Checks:
        """What the file must be: where nobody says it, what it was when it first came."""
        checks = self.source.checks
        if not checks.identify and self.receipt.exists():
            LOG.info("%s: compared with %s, from its first download", self.name, self.receipt)
            checks = replace(checks, sha256=self._recorded()["sha256"])
        return checks

    def _put(self, obtained: Obtained) -> None:
        """Turn the verified file into what it provides."""
        file, is_local = obtained.file, self.source.path is not None
        if self.target.is_symlink():  # to a local file that is gone
            self.target.unlink()
        if self.source.unpacked is not None:
            self._unpack(file, is_local)
            if not is_local and not self.experiment.keep_archives:
                file.unlink()
        else:
            with writing(self.target) as temporary:
                if is_local:
                    temporary.symlink_to(file.absolute())
                else:
                    shutil.move(file, temporary)

    def _unpack(self, file: Path, is_local: bool) -> None:
        try:
            with self.progress.bar("unpacking") as bar:
                unpack(file, self.target, lambda *counts: self.progress.show(bar, *counts))
        except Damaged as error:
            if is_local:
                raise
            file.unlink()
            raise UserError(f"{error}. It was deleted; run the same command again") from error

    def _record(self, obtained: Obtained) -> None:
        date = datetime.now(UTC).isoformat(timespec="seconds")
        record = {"source": self.name, "provides": str(self.target), "address": obtained.origin}
        write_json(self.receipt, record | asdict(obtained.fingerprint) | {"date": date})
        LOG.info("%s: there, from %s", self.target, obtained.origin)
