"""What one MLflow run is to hold, whatever it stands for."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

FINISHED, RUNNING, KILLED, FAILED = "FINISHED", "RUNNING", "KILLED", "FAILED"


@dataclass(frozen=True)
class Point:
    """A value of a metric at a step; `time` is in milliseconds since 1970."""

    name: str
    step: int
    value: float
    time: int

    @property
    def content(self) -> tuple[str, int, float]:
        """What counts: the same point may be logged while a run trains, or afterwards."""
        return self.name, self.step, self.value


@dataclass(frozen=True)
class Entry:
    """One MLflow run to be.

    Attributes:
        name: of the run; an MLflow experiment has one run of each name.
        kind: run, parent or report, as the tag `kind`.
        complete: whether this is all that there will ever be.
        parent: the name of the entry that this belongs to.
        datasets: digests of masks, by file.
        artifacts: pairs each file with the folder it goes to.
        started, ended: in milliseconds since 1970.
    """

    name: str
    kind: str
    status: str = FINISHED
    complete: bool = True
    parent: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    datasets: dict[str, str] = field(default_factory=dict)
    artifacts: list[tuple[Path, str | None]] = field(default_factory=list)
    started: int | None = None
    ended: int | None = None

    @cached_property
    def content(self) -> str:
        """A digest of what is logged, by which an unchanged entry is known."""
        files = [
            (str(folder), path.name, hashlib.sha256(path.read_bytes()).hexdigest())
            for path, folder in self.artifacts
        ]
        points = [point.content for point in self.points]
        told = [self.kind, self.status, self.tags, self.params, points, self.datasets, files]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def points(values: Mapping[str, Any], step: int, time: int) -> Iterable[Point]:
    """Those of `values` that are numbers (MLflow has no place for infinite ones)."""
    for name, value in values.items():
        if value is not None and isfinite(value):
            yield Point(name, step, float(value), time)


def milliseconds(time: str) -> int:
    """Since 1970, of an ISO time."""
    return int(datetime.fromisoformat(time).timestamp() * 1000)
