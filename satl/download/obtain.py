"""One file of the catalogue, verified: from a local path, from before, or from its addresses."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from satl.config.catalogue import Checks, Source
from satl.core.errors import UserError
from satl.download.checksums import Fingerprint, fingerprint
from satl.download.http import RetryPolicy, SourceUnavailable, Stopped, Transfer
from satl.download.hub import fetch_weights
from satl.download.unpack import check_space, is_archive

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """Progress bars for the work on one file, and the place where it notices that it is to stop."""

    name: str
    stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def bar(self, what: str) -> Iterator[tqdm]:
        """A bar of bytes; none where nobody watches, as in the workflow's logs."""
        text = f"{what} {self.name}"
        with tqdm(desc=text, unit="B", unit_scale=True, disable=None) as bar:
            yield bar

    def show(self, bar: tqdm, count: int, total: int | None) -> None:
        """Show that there are `count` of `total` bytes. Raises Stopped."""
        self.raise_if_stopped()
        bar.total = total
        bar.n = count  # a fresh start goes back
        bar.update(0)

    def raise_if_stopped(self) -> None:
        """Raise Stopped if another thread has asked for it."""
        if self.stop.is_set():
            raise Stopped


@dataclass(frozen=True)
class Obtained:
    """A verified file, the address or path it came from, and what it is."""

    file: Path
    origin: str
    fingerprint: Fingerprint


@dataclass(frozen=True)
class Fetcher:
    """Gets one file.

    Attributes:
        source: its addresses and what they say of it.
        checks: what it must be.
        archive: where it is to lie, or lies already.
        retry, progress: how long to wait; what to tell.
    """

    source: Source
    checks: Checks
    archive: Path
    retry: RetryPolicy
    progress: Progress

    def obtain(self) -> Obtained:
        """The file, complete and verified. Raises UserError, Stopped or OSError."""
        if self.source.path:
            return self._local()
        return self._cached() or (self._from_hub() if self.source.hub else self._download())

    def _verify(self, file: Path) -> tuple[Fingerprint, str | None]:
        with self.progress.bar("checking") as bar:
            found = fingerprint(file, lambda *counts: self.progress.show(bar, *counts))
        fault = found.mismatch(self.checks)
        if not fault and self.source.unpacked is not None and not is_archive(file):
            fault = "it is no archive, or an incomplete one"
        return found, fault

    def _local(self) -> Obtained:
        file, key = Path(self.source.path), f"sources.{self.archive.name}.path"
        if not file.is_file():
            what = "is a folder, not the file itself" if file.is_dir() else "no such file"
            raise UserError(f"{key}: {file}: {what}")
        found, fault = self._verify(file)
        if fault:
            raise UserError(f"{key}: {file} failed verification: {fault}")
        return Obtained(file, str(file), found)

    def _cached(self) -> Obtained | None:
        """The archive, where it was kept or where its unpacking was interrupted."""
        if not self.archive.is_file():
            return None
        found, fault = self._verify(self.archive)
        if not fault:
            return Obtained(self.archive, str(self.archive), found)
        LOG.warning("%s: %s; it is downloaded again", self.archive, fault)
        self.archive.unlink()
        return None

    def _download(self) -> Obtained:
        reasons = []
        for url in self.source.urls:
            LOG.info("%s: from %s", self.archive.name, url)
            try:
                return Obtained(self.archive, url, self._from(url))
            except SourceUnavailable as reason:
                LOG.warning("%s: %s", url, reason)
                reasons.append(f"\n  {url}: {reason}")
        name = self.archive.name
        raise UserError(
            f"{name}: could not be downloaded from any URL:{''.join(reasons)}\n"
            f"Try again later, or fetch it by other means and say where it is,"
            f" as `sources: {{{name}: {{path: FILE}}}}` in the "
            "config; `urls:` instead of `path:` names other addresses"
        )

    def _from_hub(self) -> Obtained:
        name = self.source.hub
        LOG.info("%s: from timm's hub", self.archive.name)
        fetch_weights(name, self.archive)
        found, fault = self._verify(self.archive)
        if fault:
            self.archive.unlink()
            raise UserError(
                f"{name}: the weights in timm's hub are not those of the first download ({fault}); "
                "if they are wanted, delete its receipt"
            )
        return Obtained(self.archive, f"timm's hub: {name}", found)

    def _from(self, url: str) -> Fingerprint:
        """Download from `url` and verify, twice at most. Raises SourceUnavailable."""
        with self.progress.bar("downloading") as bar:
            transfer = Transfer(
                self.archive,
                identified=self.checks.identify,
                retry=self.retry,
                stop=self.progress.stop,
                check_total=self._check_total,
                on_progress=lambda *counts: self.progress.show(bar, *counts),
            )
            for _ in range(2):
                transfer.fetch(url)
                found, fault = self._verify(transfer.part)
                if not fault:
                    transfer.finish()
                    return found
                LOG.warning("%s: %s", url, fault)
                transfer.discard()
        raise SourceUnavailable(f"failed verification twice: {fault}")

    def arrived(self) -> int:
        """Bytes that need not be downloaded any more."""
        part = self.archive.with_name(f"{self.archive.name}.part")
        return sum(path.stat().st_size for path in (self.archive, part) if path.exists())

    def _check_total(self, total: int) -> None:
        wanted = self.checks.bytes
        if wanted not in (None, total):
            raise SourceUnavailable(f"it offers {total} bytes instead of {wanted}")
        more = total + (self.source.unpacked or 0) - self.arrived()
        check_space(self.archive.parent, more, self.archive.name)
