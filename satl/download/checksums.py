"""Whether a file is the one that was meant."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from satl.config.catalogue import Checks

CHUNK = 1 << 20


@dataclass(frozen=True)
class Fingerprint:
    """Size in bytes and checksums (hexadecimal) of a file."""

    bytes: int
    md5: str
    sha256: str
    git_blob: str

    def mismatch(self, checks: Checks) -> str | None:
        """How this file differs from what it must be; None where it does not."""
        if checks.bytes not in (None, self.bytes):
            return f"{self.bytes} bytes instead of {checks.bytes}"
        for name in ("md5", "sha256", "git_blob"):
            wanted = getattr(checks, name)
            found = getattr(self, name)
            if wanted and not found.startswith(wanted.lower()):
                return f"its {name} is {found[: len(wanted)]} instead of {wanted.lower()}"
        return None


def fingerprint(
    path: Path, on_progress: Callable[[int, int], object] = lambda count, total: None
) -> Fingerprint:
    """Read a file once; `on_progress` is told the bytes read and their total, and may raise."""
    size = path.stat().st_size
    hashes = [hashlib.md5(usedforsecurity=False), hashlib.sha256()]
    # What `git hash-object` prints: the checksum by which a repository knows the file.
    hashes.append(hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False))
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            for state in hashes:
                state.update(chunk)
            on_progress(file.tell(), size)
    return Fingerprint(size, *(state.hexdigest() for state in hashes))
