"""Lists of images in text files, one per line."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from satl.core.errors import UserError
from satl.core.files import existing


def read_list(path: Path) -> list[str]:
    """The image names of a list, one per line; blank lines and spaces around do not count.

    Raises:
        UserError: the file is missing, is no text, is empty, or names an image twice.
    """
    try:
        lines = existing(path, "image list").read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file of image file names ({error})") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise UserError(f"{path}: lists no image")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path}: lists {len(twice)} images more than once: {some(twice)}")
    return names


def some(names: Iterable[str]) -> str:
    """The first five of `names`, for a message."""
    names = list(names)
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
