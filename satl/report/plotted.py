"""What becomes of a planned figure: drawn, or left out for a reason."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from satl.runs.evaluated import Run


@dataclass(frozen=True)
class Plot:
    """A figure, the name of its files, and the runs that it shows."""

    name: str
    dataset: str
    title: str
    runs: list[Run]
    figure: Figure


@dataclass(frozen=True)
class SkippedFigure:
    """A figure that is not made, and why not."""

    name: str
    dataset: str
    reason: str
