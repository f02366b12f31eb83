"""What the log of a training job says: how far it is, how fast, and what went wrong."""

import re
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# A line of the progress bar: epoch 7/15:  57%|███| 23/40 [00:01<00:00, 22.10batch/s]
_BAR = re.compile(
    r"epoch (?P<epoch>\d+)/\d+: +\d+%\|[^|]*\| *(?P<batch>\d+)/(?P<batches>\d+) "
    r"\[[^\]]*?(?:(?P<rate>[\d.]+)(?P<unit>batch/s|s/batch))?\]"
)
_ERROR = re.compile(r"^satl \w+: error: (.*)", re.MULTILINE | re.DOTALL)
_DROPPED = re.compile(r"^dropped: (.*)", re.MULTILINE)
_STOPPED = re.compile(r"^satl \w+: (.*); rerun the same command to resume", re.MULTILINE)
_TRACEBACK = re.compile(r"^Traceback .*\n(?:[ \t].*\n|\n)*(\S.*)", re.MULTILINE)


@dataclass(frozen=True)
class JobLog:
    """A training job, as far as its log tells.

    Attributes:
        epochs: done, with the share of the one that it is in; None where none has begun.
        seconds_per_epoch: of training alone; None where no batch is done.
        error: why it failed, or None.
        stopped: by what it was stopped so that it can be resumed, or None.
        dropped: why runs were dropped that diverged; each text begins with the title of its run.
    """

    epochs: float | None = None
    seconds_per_epoch: float | None = None
    error: str | None = None
    stopped: str | None = None
    dropped: tuple[str, ...] = ()


def read_job_log(path: Path) -> JobLog:
    """Read a log that may be growing. Raises FileNotFoundError."""
    text = path.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    bars = [match.groupdict() for match in _BAR.finditer(text)]
    stopped = _STOPPED.search(text)
    return JobLog(
        epochs=_epochs(bars[-1]) if bars else None,
        seconds_per_epoch=_seconds_per_epoch(bars),
        error=error_in(text),
        stopped=stopped[1] if stopped else None,
        dropped=tuple(_DROPPED.findall(text)),
    )


def error_in(text: str) -> str | None:
    """What a command says before it fails; of an error that is a bug, the last line."""
    found = _ERROR.search(text) or _TRACEBACK.search(text)
    return found[1].strip() if found else None


def _epochs(bar: dict[str, str]) -> float:
    return int(bar["epoch"]) - 1 + int(bar["batch"]) / int(bar["batches"])


def _seconds_per_epoch(bars: list[dict[str, str]]) -> float | None:
    """The median over the last lines of the bar: the first batches take longer."""
    rated = [bar for bar in bars[-9:] if bar["rate"] and float(bar["rate"]) > 0]
    if not rated:
        return None
    return median(
        int(bar["batches"])
        * (1 / float(bar["rate"]) if bar["unit"] == "batch/s" else float(bar["rate"]))
        for bar in rated
    )
