"""Files that are either complete or absent: write to a temporary name, then rename."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from satl.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, else it is removed.

    Raises:
        UserError: the file cannot be written, for want of space or of permission, say.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        with contextlib.suppress(OSError):  # not every file system can flush a folder
            _flush(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """What processes that were killed while they wrote `path` have left."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        process = part.suffixes[-2].removeprefix(".")
        if process.isdecimal() and not _is_alive(int(process)):
            part.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        pass
    return True


def cannot_write(path: Path, error: OSError) -> UserError:
    """What to say where `path` (of which nothing is kept) could not be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return UserError(
        f"{path}: cannot be written ({error.strerror or error}); nothing was kept of it."
        + (f" Free some space in {path.parent} and run the same command again." if full else "")
    )


def _flush(path: Path) -> None:
    """Have a file or folder reach the disk, so that a power cut after a rename leaves no rest."""
    if path.is_symlink():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_yaml(path: Path, value: Any) -> None:
    """Write `value` as YAML, keys in their order."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def write_arrays(path: Path, **arrays: "np.ndarray") -> None:
    """Write arrays by name as a compressed `.npz`."""
    import numpy as np  # not at the top: the workflow reads configs where there is no NumPy

    with writing(path) as temporary, open(temporary, "wb") as file:
        by_name: dict[str, Any] = arrays  # a type checker fears that one is named allow_pickle
        np.savez_compressed(file, **by_name)


def write_tensors(path: Path, value: Any) -> None:
    """Write what `torch.save` takes, whole or not at all."""
    import torch

    with writing(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(value, file)
        except RuntimeError as error:
            # PyTorch's writer hides the OSError of a full disk behind one of its own.
            cause = error.__cause__ or error.__context__
            if isinstance(cause, OSError):
                raise cause from None
            raise UserError(
                f"{path}: cannot be written; is the disk full? Nothing was kept of it "
                f"({str(error).splitlines()[0]})"
            ) from error


def link_files(source: Path, target: Path, names: Iterable[str]) -> None:
    """Give files of one folder a second name in another; copies where links are impossible.

    Safe because nothing here writes into an existing file: a new version gets a new inode.
    """
    for name in names:
        with writing(Path(target, name)) as temporary:
            try:
                os.link(Path(source, name), temporary)
            except OSError:
                shutil.copyfile(Path(source, name), temporary)


def read_arrays(path: Path, what: str = "file") -> dict[str, "np.ndarray"]:
    """The arrays of an .npz file. Raises UserError if it is missing or is something else."""
    import numpy as np

    try:
        with np.load(existing(path, what), allow_pickle=False) as arrays:
            return dict(arrays)
    except (TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a {what}, or damaged; make it again") from error


def read_yaml(path: Path) -> Any:
    """Raises UserError if the file is missing or is not YAML."""
    try:
        return yaml.safe_load(existing(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error


def existing(path: Path, what: str = "file") -> Path:
    """`path` itself; raises UserError, naming `what` it is, where there is no such file."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such {what}")
    return Path(path)


def digest(value: Any) -> str:
    """A short stable name for a JSON-like value (16 hex digits of its sha256)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
