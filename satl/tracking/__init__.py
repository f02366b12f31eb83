"""Experiment trackers that receive finished runs; nothing is read back from them.

A tracker is one module here with a function `track(experiment, results, uri)`, found by the name
of its file: `satl track --to mlflow` calls `satl.tracking.mlflow.track`.
"""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol

from satl.config import Experiment
from satl.core.errors import UserError


class Track(Protocol):
    """What a tracker's module has to offer."""

    def __call__(
        self, experiment: Experiment, results: Path, uri: str | None = None
    ) -> dict[str, int]:
        """Log the evaluated runs under `results` (results/NAME); returns counts to be shown.

        `uri` says where the tracker keeps runs; None is its own default.
        """


def trackers() -> list[str]:
    """The names of all trackers: the modules of this folder."""
    return sorted(module.name for module in iter_modules(__path__))


def tracker(name: str) -> Track:
    """The `track` function of the tracker `name`. Raises UserError that lists what there is."""
    if name not in trackers():
        raise UserError(f"--to {name}: no such tracker; there are {', '.join(trackers())}")
    return import_module(f"{__name__}.{name}").track
