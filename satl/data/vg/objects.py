"""Visual Genome's objects.json, image by image: parsed as a whole it would fill the memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson

from satl.core.errors import UserError
from satl.core.files import existing


def read_objects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of the JSON list in `path`, in order, one at a time in memory.

    Raises:
        UserError: the file is missing, is no JSON list of objects, or is cut off.
    """
    done = 0
    try:
        with open(existing(path, "file of objects"), "rb") as file:
            # ijson would find no item in a file that holds something else, and say nothing.
            if file.read(1024).lstrip()[:1] != b"[":
                raise ValueError("it does not begin with [")
            file.seek(0)
            for item in ijson.items(file, "item", use_float=True):
                if not isinstance(item, dict):
                    raise ValueError(f"expected an object, found {item!r:.40}")
                yield item
                done += 1
    except (ijson.JSONError, ValueError) as error:
        raise UserError(
            f"{path}: after {done} objects, not the JSON list of objects that it must be, or cut "
            f"off ({_first_line(error)}); fetch or unpack it again"
        ) from error


def _first_line(error: Exception) -> str:
    """The parser's message without the excerpt of the file that may follow it."""
    message = error.args[0] if error.args else error
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    return text.strip().partition("\n")[0]
