"""Labels in CSV files: one row per image, one column per category."""

import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from satl.core.errors import UserError
from satl.core.strict import Strict
from satl.data.csv_rows import csv_rows
from satl.data.formats.base import (
    DatasetSize,
    ExpectedImages,
    Part,
    SplitFormat,
    check_expected,
    expected_count,
)

if TYPE_CHECKING:
    from satl.data.table import LabelTable


def _code(value: Any) -> str:
    """How codes are compared: without spaces around, and numbers by value, so 1.0 is 1."""
    if isinstance(value, bool):
        raise ValueError("write yes, no, true and false in quotes; YAML has its own idea of them")
    text = "" if value is None else str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number) if number.is_integer() else number)


Codes = list[Annotated[str, BeforeValidator(_code)]]


class CsvSplit(Strict):
    """Where one part of the data set lies."""

    labels: str = Field(description="CSV file with a header, one row per image")
    images: str = Field(description="folder that the file's image paths are relative to")
    expected_images: ExpectedImages = None


class CsvFormat(SplitFormat[CsvSplit]):
    """Labels in CSV files: one row per image, one column per category."""

    format: Literal["csv"]
    image_column: str | None = Field(
        None, description="column of the image paths; none: the first column"
    )
    categories: list[str] | None = Field(
        None,
        min_length=1,
        description="columns that are categories, in this order; none: all but the image column "
        "and those that `ignore` names, in the order of the training file",
    )
    ignore: list[str] = Field([], description="columns that are no categories")
    positive: Codes = Field(["1"], min_length=1, description="what says that a category is present")
    negative: Codes = Field(["0"], description="what says that a category is absent")
    unknown: Codes = Field(["-1", ""], description='what says that nobody knows; "" is a blank')
    delimiter: str = Field(",", min_length=1, max_length=1, description="character between columns")

    @model_validator(mode="after")
    def _check_contradictions(self) -> "CsvFormat":
        if self.categories and self.ignore:
            raise ValueError("give `categories` or `ignore`; the first leaves out all others")
        if len(set(self.categories or ())) < len(self.categories or ()):
            raise ValueError("`categories` names a column twice")
        codes = [*self.positive, *self.negative, *self.unknown]
        twice = next((code for code in codes if codes.count(code) > 1), None)
        if twice is not None:
            raise ValueError(
                f"the code {twice!r} stands twice in `positive`, `negative` and `unknown` "
                f"({self.positive}, {self.negative}, {self.unknown})"
            )
        return self

    @property
    def may_be_partial(self) -> bool:
        """Unless there is no code for unknown labels."""
        return bool(self.unknown)

    def inputs(self, part: Part) -> list[str]:
        """The file of labels and the folder of images; the training file names the categories."""
        split = self.split(part)
        return [split.labels, split.images, *([self.train.labels] if part == "test" else [])]

    def read(self, part: Part, prepared: Path | None = None) -> "LabelTable":
        """The label table of one file; rows in the order of its lines.

        Raises:
            UserError: a file or an image is missing; the file is no CSV; columns are missing or
                not expected; an image stands in two lines; a code is none of those configured.
        """
        import numpy as np

        from satl.data.table import LabelTable, check_images_exist

        split, categories = self.split(part), self._categories()
        source = Path(split.labels)
        lines, labels = self._labels(source, categories)
        check_expected(len(lines), split.expected_images, source)
        names = tuple(lines)
        check_images_exist(Path(split.images), names, source)
        return LabelTable(
            folder=split.images,
            file_names=names,
            image_ids=np.arange(len(names)),
            categories=tuple(categories),
            labels=np.array(labels, dtype=np.int8).reshape(len(names), len(categories)),
            info={"annotations": str(source)},
        )

    def size(self) -> DatasetSize:
        """From the files that exist, else from `expected_images`."""
        categories = self._categories()
        return DatasetSize(self._count("train"), self._count("test"), len(categories))

    def _count(self, part: Part) -> int:
        split = self.split(part)
        if not Path(split.labels).is_file():
            return expected_count(split.expected_images, f"{part}.expected_images", split.labels)
        return sum(1 for _ in _rows(Path(split.labels), self.delimiter)[1])

    def _categories(self) -> list[str]:
        """As configured, else as in the header of the training file."""
        if self.categories:
            return self.categories
        source = Path(self.train.labels)
        header, _ = _rows(source, self.delimiter)
        image = header[self._image_column(header, source)]
        found = [name for name in header if name != image and name not in self.ignore]
        if not found:
            raise UserError(f"{source}: has no column of a category; its columns are {header}")
        return found

    def _image_column(self, header: list[str], source: Path) -> int:
        return 0 if self.image_column is None else _place(self.image_column, header, source)

    def _labels(self, source: Path, categories: list[str]) -> tuple[dict[str, int], array]:
        """The line of each image, by its path, and the labels of all, row by row."""
        header, rows = _rows(source, self.delimiter)
        image = self._image_column(header, source)
        columns = [_place(name, header, source) for name in categories]
        if not self.categories:
            _check_no_others(header, {header[image], *categories, *self.ignore}, source)
        lines: dict[str, int] = {}
        labels, codes = array("b"), _LabelOf(self)
        for line, cells in rows:
            name = os.path.normpath(cells[image].strip()) if cells[image].strip() else ""
            _check_new(name, line, lines, source)
            lines[name] = line
            row = [codes[cells[column]] for column in columns]
            if None in row:
                column = columns[row.index(None)]
                where = f"{source}:{line}, column {header[column]!r}"
                raise _stray_code(cells[column], where, self)
            labels.extend(row)
        if not lines:
            raise UserError(f"{source}: has a header and no image")
        return lines, labels


class _LabelOf(dict[str, int | None]):
    """Labels by a cell's text, None for a stray one; each text is looked at once."""

    def __init__(self, dataset: CsvFormat) -> None:
        super().__init__()
        self.labels = {
            **dict.fromkeys(dataset.positive, 1),
            **dict.fromkeys(dataset.negative, -1),
            **dict.fromkeys(dataset.unknown, 0),
        }

    def __missing__(self, cell: str) -> int | None:
        self[cell] = self.labels.get(_code(cell))
        return self[cell]


def _rows(source: Path, delimiter: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header, and line number and cells of each row below it."""
    rows = csv_rows(source, "file of labels", delimiter)
    header = [name.strip() for name in next(rows)[1]]
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{source}: two columns are called {twice!r}")
    return header, rows


def _place(name: str, header: list[str], source: Path) -> int:
    if name not in header:
        raise UserError(
            f"{source}: has no column {name!r}; its columns are {', '.join(header)}. "
            "Is the `delimiter` right?"
        )
    return header.index(name)


def _check_no_others(header: list[str], expected: set[str], source: Path) -> None:
    others = [name for name in header if name not in expected]
    if others:
        raise UserError(
            f"{source}: the columns {', '.join(others)} are not in the training file; "
            "name them under `ignore` if they are no categories"
        )


def _check_new(name: str, line: int, lines: dict[str, int], source: Path) -> None:
    if not name:
        raise UserError(f"{source}:{line}: names no image")
    if name in lines:
        raise UserError(f"{source}:{line}: image {name} stands in line {lines[name]} already")


def _stray_code(cell: str, where: str, dataset: CsvFormat) -> UserError:
    return UserError(
        f"{where}: {cell!r} is none of the codes `positive: {dataset.positive}`, `negative: "
        f"{dataset.negative}`, `unknown: {dataset.unknown}`. Add it to one of these, or, if the "
        "column is no category, name the column under `ignore`"
    )
