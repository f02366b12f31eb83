"""The image files that a person means by files and folders."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from satl.core.errors import UserError


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Files as they are given, and in the place of a folder all image files below it, by name.

    Raises:
        UserError: a path does not exist, or a folder has no image file.
    """
    found: dict[Path, None] = {}  # each once, in this order
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(_below(path))
        elif path.exists():
            found[path] = None
        else:
            raise UserError(f"{path}: no such file or folder")
    return list(found)


def _below(folder: Path) -> list[Path]:
    endings = _endings()
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in endings and p.is_file())
    if not files:
        raise UserError(f"{folder}: has no file that is called like an image (.jpg, .png, …)")
    return files


def _endings() -> set[str]:
    """Of files that Pillow can read."""
    endings = Image.registered_extensions()
    return {ending for ending, kind in endings.items() if kind in Image.OPEN}
