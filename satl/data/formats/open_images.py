"""Open Images' image-level labels: verified positives and negatives, and a machine's guesses."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

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
    import numpy as np

    from satl.data.table import LabelTable

COLUMNS = ("ImageID", "Source", "LabelName", "Confidence")
PRESENT, ABSENT, GUESSED = 1, -1, 2


class OpenImagesSplit(Strict):
    """Where one part of the data set lies."""

    labels: list[str] = Field(
        min_length=1, description="CSV files with columns ImageID, Source, LabelName, Confidence"
    )
    images: str = Field(description="folder of the images, called IMAGEID.jpg")
    expected_images: ExpectedImages = None


class OpenImagesFormat(SplitFormat[OpenImagesSplit]):
    """Open Images' image-level labels; what was not verified is unknown."""

    format: Literal["open_images"]
    classes: str = Field(
        description="CSV file of label names and what they mean (class-descriptions.csv); its "
        "classes are the categories, in its order, and other labels are left out"
    )
    machine_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="machine-generated labels of this confidence or more are positive where "
        "nobody has verified them; none: they do not count",
    )
    missing_images: Literal["stop", "drop"] = Field(
        "stop", description="labelled images that the folder lacks: stop, or leave them out"
    )

    @property
    def may_be_partial(self) -> bool:
        """Always: only candidates are verified."""
        return True

    def inputs(self, part: Part) -> list[str]:
        """The files of labels, the classes and the folder of images."""
        return [*self.split(part).labels, self.classes, self.split(part).images]

    def read(self, part: Part, prepared: Path | None = None) -> "LabelTable":
        """The label table of the images with a label of `classes`, in the order of the files.

        Where verified labels of one image and category disagree, the entry is unknown.

        Raises:
            UserError: a file or an image is missing; a file is malformed; no image has a label.
        """
        import numpy as np

        from satl.data.table import LabelTable, check_images_exist

        split, names = self.split(part), _class_names(Path(self.classes))
        found = self._labels(part, list(names))
        source = Path(split.labels[0])
        if not found.rows:
            raise UserError(f"{source}: has no label of a class in {self.classes}")
        table = LabelTable(
            folder=split.images,
            file_names=tuple(f"{image}.jpg" for image in found.rows),
            image_ids=np.arange(len(found.rows)),
            categories=tuple(names.values()),
            labels=found.matrix(len(names)),
            info={"annotations": split.labels, "machine_threshold": self.machine_threshold},
        )
        if self.missing_images == "drop":
            table = _without_missing(table)
        else:
            check_images_exist(Path(split.images), table.file_names, source)
        check_expected(len(table.file_names), split.expected_images, source)
        return table

    def size(self) -> DatasetSize:
        """From the files of labels that exist, else from `expected_images`."""
        classes = list(_class_names(Path(self.classes)))
        note = "images that the folders lack included" if self.missing_images == "drop" else ""
        return DatasetSize(
            self._count("train", classes), self._count("test", classes), len(classes), note
        )

    def _count(self, part: Part, classes: list[str]) -> int:
        split = self.split(part)
        absent = next((path for path in split.labels if not Path(path).is_file()), None)
        if absent is not None:
            return expected_count(split.expected_images, f"{part}.expected_images", absent)
        return len(self._labels(part, classes).rows)

    def _labels(self, part: Part, classes: list[str]) -> "_Labels":
        column = {name: place for place, name in enumerate(classes)}
        found, kinds = _Labels(), _Kinds(self.machine_threshold)
        for path in map(Path, self.split(part).labels):
            rows, (image, source, name, confidence) = _rows(path)
            for line, cells in rows:
                place = column.get(cells[name])
                if place is None:
                    continue
                try:
                    kind = kinds[cells[source], cells[confidence]]
                except ValueError as error:
                    raise UserError(f"{path}:{line}: {error}") from error
                if kind:
                    found.add(cells[image], place, kind)
        return found


class _Kinds(dict[tuple[str, str], int]):
    """PRESENT, ABSENT, GUESSED, or 0 (does not count), by source and confidence.

    Each pair is looked at once, as there are few in many millions of rows. Raises ValueError.
    """

    def __init__(self, threshold: float | None) -> None:
        super().__init__()
        self.threshold = threshold

    def __missing__(self, pair: tuple[str, str]) -> int:
        self[pair] = self._kind(*pair)
        return self[pair]

    def _kind(self, source: str, confidence: str) -> int:
        try:
            value = float(confidence)
        except ValueError:
            raise ValueError(f"the confidence {confidence!r} is not a number") from None
        if source == "machine":
            return GUESSED if self.threshold is not None and value >= self.threshold else 0
        if value not in (0, 1):
            raise ValueError(
                f"a verified label (source {source!r}) has confidence {confidence}; it must be 1, "
                "present, or 0, absent"
            )
        return PRESENT if value else ABSENT


@dataclass(frozen=True)
class _Labels:
    """Entries of a label matrix as they come: row, column and kind."""

    rows: dict[str, int] = field(default_factory=dict)  # by image id
    row: array = field(default_factory=lambda: array("q"))
    column: array = field(default_factory=lambda: array("q"))
    kind: array = field(default_factory=lambda: array("b"))

    def add(self, image: str, column: int, kind: int) -> None:
        self.row.append(self.rows.setdefault(image, len(self.rows)))
        self.column.append(column)
        self.kind.append(kind)

    def matrix(self, columns: int) -> "np.ndarray":
        """(N, C) int8: +1, -1, and 0 where nothing is said or verified labels disagree."""
        import numpy as np

        row, column, kind = map(np.asarray, (self.row, self.column, self.kind))

        def marked(wanted: int) -> np.ndarray:
            marks = np.zeros((len(self.rows), columns), dtype=bool)
            marks[row[kind == wanted], column[kind == wanted]] = True
            return marks

        present, absent = marked(PRESENT), marked(ABSENT)
        guessed = marked(GUESSED) & ~present & ~absent
        return (present | guessed).astype(np.int8) - absent.astype(np.int8)


def _rows(path: Path) -> tuple[Iterator[tuple[int, list[str]]], tuple[int, ...]]:
    """Line number and cells of each row, and where the COLUMNS stand in it."""
    rows = csv_rows(path, "file of labels")
    _, header = next(rows)
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise UserError(f"{path}: has no column {', '.join(missing)}, as Open Images' files do")
    return rows, tuple(map(header.index, COLUMNS))


def _class_names(path: Path) -> dict[str, str]:
    """What each label name means, in the order of the file; meanings that recur get the name."""
    rows: list[list[Any]] = [cells for _, cells in csv_rows(path, "file of classes")]
    if rows[0] == ["LabelName", "DisplayName"]:  # which older files lack
        del rows[0]
    if not rows or len(rows[0]) != 2:
        raise UserError(f"{path}: needs lines of a label name and what it means, found {rows[:1]}")
    names = dict(rows)
    if len(names) < len(rows):
        twice = Counter(name for name, _ in rows).most_common(1)[0][0]
        raise UserError(f"{path}: names {twice} twice")
    count = Counter(names.values())
    return {
        name: meaning if count[meaning] == 1 else f"{meaning} ({name})"
        for name, meaning in names.items()
    }


def _without_missing(table: "LabelTable") -> "LabelTable":
    """The images whose files are there; `info` says how many are not."""
    import os
    from dataclasses import replace

    import numpy as np

    if not Path(table.folder).is_dir():
        raise UserError(f"{table.folder}: no such image folder")
    there = {entry.name for entry in os.scandir(table.folder)}
    kept = np.flatnonzero([name in there for name in table.file_names])
    if not kept.size:
        raise UserError(f"{table.folder}: has none of the {len(table.file_names)} labelled images")
    missing = len(table.file_names) - len(kept)
    return replace(table.select(kept), info={**table.info, "images_missing": missing})
