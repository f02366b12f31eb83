"""The objects of a JSON list one by one, for files that do not fit into memory when parsed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from satl.core.errors import UserError
from satl.core.files import existing

CHUNK = 1 << 22  # characters read at a time
LONGEST = 1 << 26  # characters that one object may have
_SPACE = re.compile(r"[ \t\n\r]*")


def stream_objects(path: Path, what: str, chunk: int = CHUNK) -> Iterator[dict[str, Any]]:
    """Yield the objects of the list of objects that a JSON file (UTF-8) holds, in order.

    Memory is a few chunks and one parsed object, however long the file is.

    Raises:
        UserError: the file (`what` it is, for the message) is missing, is no JSON list of
            objects, or ends too early.
    """
    done = 0
    try:
        with open(existing(path, what), encoding="utf-8") as file:
            for item in _objects(_Window(file, chunk)):
                yield item
                done += 1
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "not UTF-8"
        raise UserError(
            f"{path}: after {done} objects, not the JSON list of objects that the {what} must be, "
            f"or cut off ({reason}); fetch or unpack it again"
        ) from error


class _Window:
    """The part of a text file that is being parsed."""

    def __init__(self, file: TextIO, chunk: int) -> None:
        self.file, self.chunk = file, chunk
        self.text, self.at = "", 0
        self.decoder = json.JSONDecoder()

    def take(self, allowed: str) -> str:
        """The next character that is no space; an error unless it is one of `allowed`."""
        char = self.peek()
        if char == "" or char not in allowed:
            raise self._error(f"expected {' or '.join(allowed)}, found {char or 'the end'}")
        self.at += 1
        return char

    def peek(self) -> str:
        """The next character that is no space, not taken; "" at the end of the file."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                return ""

    def object(self) -> dict[str, Any]:
        """Parse the object that begins here."""
        if self.peek() != "{":
            raise self._error("expected {, found " + (self.peek() or "the end"))
        while True:
            try:
                value, self.at = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                # Cut by the window's edge, or no JSON: only more text can tell.
                if len(self.text) - self.at > LONGEST or not self._more():
                    raise
            else:
                return value

    def _more(self) -> bool:
        # At least as much as is left, so that a long object is not parsed over and over.
        new = self.file.read(max(self.chunk, len(self.text) - self.at))
        self.text, self.at = self.text[self.at :] + new, 0
        return bool(new)

    def _error(self, message: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(message, self.text, self.at)


def _objects(window: _Window) -> Iterator[dict[str, Any]]:
    window.take("[")
    if window.peek() == "]":
        window.take("]")
    else:
        yield window.object()
        while window.take(",]") == ",":
            yield window.object()
    if window.peek():
        raise json.JSONDecodeError("more text after the list", window.text, window.at)
