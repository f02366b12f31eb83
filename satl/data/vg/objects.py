"""Visual Genome's objects.json, image by image: parsed as a whole it would fill the memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from satl.core.errors import UserError
from satl.core.files import existing
from satl.data.json_stream import STREAM_ERRORS, first_line, stream

WHAT = "file of objects"


def read_objects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of the JSON list in `path`, in order, one at a time in memory.

    Raises:
        UserError: the file is missing, is no JSON list of objects, or is cut off.
    """
    done = 0
    try:
        _check_is_list(path)
        for item in stream(path, "item", WHAT):
            if not isinstance(item, dict):
                raise ValueError(f"expected an object, found {item!r:.40}")
            yield item
            done += 1
    except STREAM_ERRORS as error:
        raise UserError(
            f"{path}: after {done} objects, not the JSON list of objects that it must be, or cut "
            f"off ({first_line(error)}); fetch or unpack it again"
        ) from error


def _check_is_list(path: Path) -> None:
    """Of a file that holds something else, the stream would have no item, and say nothing."""
    with open(existing(path, WHAT), "rb") as file:
        if file.read(1024).lstrip()[:1] != b"[":
            raise ValueError("it does not begin with [")
