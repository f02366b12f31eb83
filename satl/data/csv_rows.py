"""CSV files that people give us, row by row, with the place of whatever is wrong with them."""

import csv
from collections.abc import Iterator
from pathlib import Path

from satl.core.errors import UserError
from satl.core.files import existing


def csv_rows(path: Path, what: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row, as many as in the first one; blank lines do not count.

    Raises:
        UserError: the file (`what` it is) is missing, empty or no CSV, or a row is of another
            length; raised when iteration gets there.
    """
    width = 0
    with open(existing(path, what), encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for cells in filter(None, reader):
                width = width or len(cells)
                if len(cells) != width:
                    found = f"{len(cells)} values, but the first line has {width}"
                    raise UserError(f"{path}:{reader.line_num}: {found}")
                yield reader.line_num, cells
        except csv.Error as error:
            raise UserError(f"{path}:{reader.line_num}: not a CSV file ({error})") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not text in UTF-8 ({error}); save it as such") from error
    if not width:
        raise UserError(f"{path}: is empty; is this the right {what}?")
