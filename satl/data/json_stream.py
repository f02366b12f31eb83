"""Large JSON files, item by item: parsed as a whole they would fill the memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson

from satl.core.files import existing

STREAM_ERRORS = (ijson.JSONError, ValueError)


def stream(path: Path, prefix: str, what: str) -> Iterator[Any]:
    """Yield the items at `prefix` ("item" of a list, "images.item" of a list by that key).

    Args:
        path: the file.
        prefix: as ijson has it. Where the file has no such thing, nothing is yielded.
        what: the file is, for the message where it is missing.

    Raises:
        UserError: the file is missing.
        ijson.JSONError, ValueError: it is not JSON, or is cut off (STREAM_ERRORS).
    """
    with open(existing(path, what), "rb") as file:
        yield from ijson.items(file, prefix, use_float=True)


def first_line(error: Exception) -> str:
    """The parser's message without the excerpt of the file that may follow it."""
    message = error.args[0] if error.args else error
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    return text.strip().partition("\n")[0]
