"""What titles and captions say of the runs behind a table or figure."""

import re

from satl.config import Experiment, Shown
from satl.runs.evaluated import Run


def runs_per_method(experiment: Experiment, shown: Shown) -> int:
    """How many runs a method has in a table."""
    return len(shown.known) * len(experiment.seeds)


def extent(present: int, expected: int) -> str:
    """What titles say of an experiment that is not finished: '37 of 189 runs'; '' where it is."""
    return f"{present} of {expected} runs" if present < expected else ""


def titled(title: str, extent: str) -> str:
    """`title`, with the `extent` of an unfinished experiment in brackets."""
    return f"{title} ({extent})" if extent else title


def commits(runs: list[Run]) -> str:
    """The commits that the runs were made at, shortened, as tables and figures name them."""
    found = {str(run.record["commit"] or "unknown") for run in runs}
    return ", ".join(sorted(re.sub("^([0-9a-f]{10})[0-9a-f]{30}", r"\1", name) for name in found))
