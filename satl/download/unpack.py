"""Archives to folders: whole or not at all, and never outside the folder they are meant for."""

import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from satl.core.errors import UserError

DRIVE = re.compile(r"[A-Za-z]:")
# Room that is left for receipts, logs and whatever else is being written.
SPARE = 100 * 10**6
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


class Damaged(UserError):
    """The archive itself is at fault; another copy of it may be whole."""


@dataclass(frozen=True)
class _Member:
    """A file or folder of an archive; `record` is what zipfile or tarfile knows of it."""

    name: str
    size: int
    is_folder: bool
    is_plain: bool
    record: zipfile.ZipInfo | tarfile.TarInfo


def is_archive(file: Path) -> bool:
    """Whether it is a zip archive, to its end, or begins as a tar archive."""
    return zipfile.is_zipfile(file) or tarfile.is_tarfile(file)


def check_space(folder: Path, wanted: int, what: str) -> None:
    """Raise UserError unless `wanted` bytes, and a little more, are free where `folder` lies."""
    present = next(
        p for p in (Path(folder).absolute(), *Path(folder).absolute().parents) if p.exists()
    )
    free = shutil.disk_usage(present).free
    if free < wanted + SPARE:
        raise UserError(
            f"{folder}: {what} needs {in_words(wanted)}, but only {in_words(free)} are free "
            "there; free some space, or name a folder on another disk as `data_folder`"
        )


def in_words(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def unpack(
    archive: Path,
    target: Path,
    on_progress: Callable[[int, int], object] = lambda count, total: None,
) -> None:
    """Extract the file or folder `target.name` of a zip or tar archive to `target`, which is new.

    Other members are left out. The members' checksums, which zip archives have, are verified;
    until all are there, they lie in a temporary folder beside `target`.

    Args:
        archive: the file.
        target: what to write; its name is that of a file or folder at the archive's root.
        on_progress: told how many bytes are unpacked, of how many; may raise to stop.

    Raises:
        UserError: the archive is damaged or incomplete, holds a member that would lie elsewhere
            or is no plain file, lacks `target.name`, or the disk has no room for it.
    """
    if target.exists():
        raise UserError(f"{target}: exists already, and is not overwritten by {archive}")
    temporary = target.with_name(f".{target.name}.unpacking")
    try:
        with _open(archive) as opened:
            members = _members(opened)
            for member in members:
                _check_member(member, archive)
            wanted = [m for m in members if PurePosixPath(m.name).parts[:1] == (target.name,)]
            if not wanted:
                raise Damaged(f"{archive}: holds no {target.name}; is it the right file?")
            total = sum(member.size for member in wanted)
            check_space(target.parent, total, f"unpacking {archive}")
            shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
            temporary.mkdir(parents=True)
            count = 0
            for member in wanted:
                _extract(opened, member, temporary)
                count += member.size
                on_progress(count, total)
        os.replace(temporary / target.name, target)
    except FileNotFoundError as error:
        raise UserError(f"{archive}: no such archive") from error
    except OSError as error:
        raise UserError(f"{target}: cannot be unpacked ({error.strerror or error})") from error
    except DAMAGED as error:
        raise Damaged(f"{archive}: damaged, incomplete, or no archive ({error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open(archive: Path) -> zipfile.ZipFile | tarfile.TarFile:
    return tarfile.open(archive) if tarfile.is_tarfile(archive) else zipfile.ZipFile(archive)


def _members(opened: zipfile.ZipFile | tarfile.TarFile) -> list[_Member]:
    if isinstance(opened, tarfile.TarFile):
        return [
            _Member(m.name, m.size, m.isdir(), m.isreg() or m.isdir(), m)
            for m in opened.getmembers()
        ]
    plain = (0, stat.S_IFREG, stat.S_IFDIR)
    return [
        _Member(m.filename, m.file_size, m.is_dir(), stat.S_IFMT(m.external_attr >> 16) in plain, m)
        for m in opened.infolist()
    ]


def _extract(opened: zipfile.ZipFile | tarfile.TarFile, member: _Member, folder: Path) -> None:
    """Write a member that has been checked, as a file of ours: with no owner or mode of its own.

    Python's own way for tar archives, the filters of PEP 706, came with 3.11.4.
    """
    path = folder / member.name
    if member.is_folder:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    read: Any = opened.extractfile if isinstance(opened, tarfile.TarFile) else opened.open
    with read(member.record) as source, open(path, "wb") as file:
        shutil.copyfileobj(source, file, 2**20)


def _check_member(member: _Member, archive: Path) -> None:
    """Raise UserError for what no archive of data has a reason to hold."""
    name = member.name
    if name.startswith(("/", "\\")) or DRIVE.match(name):
        fault = "has an absolute path"
    elif ".." in re.split(r"[/\\]", name):
        fault = "lies outside the archive's folder"
    elif not member.is_plain:
        fault = "is a link or a device"
    else:
        return
    raise UserError(f"{archive}: refused, as its member {name!r} {fault}; nothing was unpacked")
