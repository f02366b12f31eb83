"""Figure: average ranks with the critical difference (Demšar, JMLR 7, 2006)."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from satl.report.ranks import Ranks
from satl.report.style import FAINT, INK, WIDE, LineStyles

LINE = 0.19  # inches between two names
BAR = 0.09  # inches between two bars


def rank_figure(ranks: Ranks, styles: LineStyles) -> Figure:
    """Draw an axis of ranks, the best at the left, with names led to both sides.

    Methods below one bar do not differ by Nemenyi's test.
    """
    names, cliques = list(ranks.mean.index), ranks.cliques()
    left = -(-len(names) // 2)
    depth = 0.12 + BAR * len(cliques) + LINE * left
    figure = Figure(figsize=(WIDE, depth + 1.0), layout="constrained")
    axes = figure.subplots()
    lowest, highest = 1, len(names)
    margin = 0.3 * (highest - lowest)
    axes.set_xlim(lowest - margin, highest + margin)
    axes.set_ylim(-depth, 0.42)
    axes.axis("off")
    _draw_axis(axes, lowest, highest)
    _draw_critical_difference(axes, ranks)
    for place, (best, worst) in enumerate(cliques):
        height = -0.1 - BAR * place
        ends = ranks.mean[best] - 0.04, ranks.mean[worst] + 0.04
        axes.plot(ends, [height, height], color=INK, lw=3, solid_capstyle="butt")
    top = -0.12 - BAR * len(cliques)
    for place, name in enumerate(names):
        row, side = (place, -1) if place < left else (len(names) - 1 - place, 1)
        edge = (lowest if side < 0 else highest) + side * 0.06 * (highest - lowest)
        _lead(axes, name, ranks.mean[name], edge, top - LINE * (row + 0.6), side, styles)
    return figure


def _draw_axis(axes: Axes, lowest: int, highest: int) -> None:
    axes.plot([lowest, highest], [0, 0], color=INK, lw=1)
    for rank in range(lowest, highest + 1):
        axes.plot([rank, rank], [0, 0.06], color=INK, lw=1)
        axes.text(rank, 0.09, str(rank), ha="center", va="bottom", fontsize=7.5)


def _draw_critical_difference(axes: Axes, ranks: Ranks) -> None:
    """Above the axis: how far apart ranks must be, and what was ranked."""
    start, height = 1, 0.33
    axes.plot([start, start + ranks.critical], [height, height], color=INK, lw=1.2)
    for x in (start, start + ranks.critical):
        axes.plot([x, x], [height - 0.03, height + 0.03], color=INK, lw=1.2)
    p = "p < 0.001" if ranks.p < 0.001 else f"p = {ranks.p:.3f}"
    text = f"critical difference {ranks.critical:.2f}   (Friedman {p}, {ranks.blocks} blocks)"
    axes.text(
        start + ranks.critical, height, f"  {text}", ha="left", va="center", fontsize=7.5,
        color=FAINT,
    )  # fmt: skip


def _lead(
    axes: Axes, name: str, rank: float, edge: float, height: float, side: int, styles: LineStyles
) -> None:
    """A line from the axis down to the height of the name, and across to it."""
    colour = styles[name]["color"]
    axes.plot(np.array([rank, rank, edge]), [0, height, height], color=colour, lw=1)
    axes.plot(rank, 0, color=colour, marker=styles[name]["marker"], ms=4.5, zorder=3)
    label = f"{name}  {rank:.1f} " if side < 0 else f" {rank:.1f}  {name}"
    axes.text(edge, height, label, ha="right" if side < 0 else "left", va="center", color=colour,
              fontsize=7.5)  # fmt: skip
