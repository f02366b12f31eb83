"""One address to one file: resumes after cuts, waits where it is asked to, notices changes.

What has arrived lies in TARGET.part; TARGET.part.json says which file of which address it is the
head of, so that another process resumes it, and never with the head of something else.
"""

import contextlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
import urllib3

from satl.core.files import write_json

CHUNK = 1 << 16
TRANSIENT = (408, 425, 429)


@dataclass(frozen=True)
class RetryPolicy:
    """How long a download waits, in seconds, and how often it tries again.

    Attributes:
        connect: for a connection.
        stall: for the next byte.
        attempts: tries of one address that bring less than `progress` bytes each.
        backoff: before the second try; doubled for each further one.
        longest_wait: before any try; a server that asks for more is given up.
    """

    connect: float = 20
    stall: float = 60
    attempts: int = 6
    progress: int = 1 << 20
    backoff: float = 2
    longest_wait: float = 120


class SourceUnavailable(Exception):
    """This address does not give the file; says why. Another may."""


class Stopped(Exception):
    """The user, or the failure of another download, has ended this one."""


class RetryableError(Exception):
    """Worth another try, after `wait` seconds if the server said so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass
class Transfer:
    """The download of one file, from one address after another.

    Attributes:
        target: the file to be; what arrives goes to TARGET.part.
        identified: whether a checksum will tell if the whole is the right file. Only then may
            the head from one address be completed from another.
        check_total: told the size of the whole file before it is fetched; may raise.
        on_progress: told how many bytes there are, and of how many (None: not known).
    """

    target: Path
    identified: bool
    retry: RetryPolicy = RetryPolicy()
    stop: threading.Event = field(default_factory=threading.Event)
    check_total: Callable[[int], object] = lambda total: None
    on_progress: Callable[[int, int | None], object] = lambda count, total: None

    @property
    def part(self) -> Path:
        """What has arrived."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def _note(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    def fetch(self, url: str) -> None:
        """Complete `self.part` from `url`.

        Raises:
            SourceUnavailable: the address does not have the file, or too many tries failed.
            Stopped: `self.stop` was set.
        """
        failures = 0
        while True:
            before = self._size()
            try:
                return self._try(url)
            except RetryableError as cut:
                gained = self._size() - before
                failures = 1 if gained >= self.retry.progress else failures + 1
                if failures >= self.retry.attempts:
                    raise SourceUnavailable(f"{cut} ({failures} tries)") from cut
                wait = self.retry.backoff * 2 ** (failures - 1)
                wait = min(wait, self.retry.longest_wait) if cut.wait is None else cut.wait
                if wait > self.retry.longest_wait:
                    raise SourceUnavailable(f"{cut}, and asks to wait for {wait:.0f} s") from cut
                if self.stop.wait(wait):
                    raise Stopped from None

    def discard(self) -> None:
        """Forget what has arrived."""
        self.part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the complete part its name."""
        self.part.replace(self.target)
        self._note.unlink(missing_ok=True)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _try(self, url: str) -> None:
        start, headers = self._resume(url)
        note = self._read_note()
        if start and note.get("total") == start:
            return
        timeout = (self.retry.connect, self.retry.stall)
        try:
            with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
                self._check_status(response, start)
                self._receive(response, url, start)
        except requests.exceptions.SSLError as error:
            raise SourceUnavailable(f"no safe connection ({_reason(error)})") from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise RetryableError(_reason(error)) from error
        except urllib3.exceptions.HTTPError as error:  # in mid-body
            raise RetryableError(_reason(error)) from error
        except requests.RequestException as error:
            raise SourceUnavailable(_reason(error)) from error

    def _resume(self, url: str) -> tuple[int, dict[str, str]]:
        """Where to resume, and the headers that ask for the rest of the same file only."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "satl-bench"}
        start, note = self._size(), self._read_note()
        validator = note.get("validator") if note.get("url") == url else None
        if not start or not (validator or self.identified):
            return 0, headers
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
        return start, headers

    def _check_status(self, response: requests.Response, start: int) -> None:
        status = response.status_code
        if status in (200, 206):
            return
        if status == 416 and start:
            self.discard()
            raise RetryableError("it has fewer bytes than have arrived")
        reason = f"HTTP {status} {response.reason or ''}".rstrip()
        if status in TRANSIENT or status >= 500:
            raise RetryableError(reason, _retry_after(response.headers))
        raise SourceUnavailable(reason)

    def _receive(self, response: requests.Response, url: str, start: int) -> None:
        total = _length(response.headers.get("Content-Length"))
        if response.status_code == 206:
            total = self._check_range(response, url, start)
        else:  # the whole file: it was asked for, or it has changed, or the server has no ranges
            start = 0
            self.discard()
            note = {"url": url, "validator": _validator(response.headers), "total": total}
            write_json(self._note, note)
        if total is not None:
            self.check_total(total)
        arrived = start
        self.on_progress(arrived, total)
        with open(self.part, "ab") as file:
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                if self.stop.is_set():
                    raise Stopped
                file.write(chunk)
                arrived += len(chunk)
                self.on_progress(arrived, total)
        if total is not None and arrived < total:
            raise RetryableError(f"cut after {arrived} of {total} bytes")

    def _check_range(self, response: requests.Response, url: str, start: int) -> int | None:
        """The size of the whole file; starts afresh where the server sent some other part."""
        found = re.fullmatch(
            r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip()
        )
        total = _length(found[2]) if found else None
        note = self._read_note()
        known = note.get("total")
        same = found and int(found[1]) == start and (None in (known, total) or known == total)
        # A server may not know If-Range. After a redirect, response.request has another URL.
        if note.get("url") == url:
            same = same and _validator(response.headers) in (None, note.get("validator"))
        if not same:
            self.discard()
            raise RetryableError(
                "it has changed, or the server sent another part than was asked for"
            )
        return total if total is not None else known

    def _read_note(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if isinstance(note, dict):
                return note
        return {}


def _validator(headers: Any) -> str | None:
    """What tells this file from its next version; a weak ETag does not."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _length(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from seconds or a date; None where the server says nothing of use."""
    text = headers.get("Retry-After")
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        # By the server's clock, where it gives its time: this machine's may be wrong.
        date = headers.get("Date")
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    return None


def _reason(error: BaseException) -> str:
    """The innermost message, without the object addresses that libraries put around it."""
    text = str(getattr(error.args[0], "reason", error.args[0]) if error.args else error)
    return re.sub(r"<[^>]*>:? ?", "", text) or type(error).__name__
