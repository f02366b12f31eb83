"""Figure: differences of all methods to the reference, with their intervals (a forest plot)."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from satl.report.claims import p_text, signed
from satl.report.inference import SIGNIFICANCE
from satl.report.statistics import Comparisons
from satl.report.style import FAINT, INK, NARROW, LineStyles

MARGIN = 0.6  # inches above and below the rows, for the labels of the axis
COLUMNS = (46, 90)  # points right of the axes, where columns of text end


def forest_figure(comparisons: Comparisons, over: str, styles: LineStyles) -> Figure:
    """Draw one row per method, the highest difference on top.

    Args:
        comparisons: with intervals; methods without are left out.
        over: what the differences are of, e.g. "average mAP".
        styles: how to draw each method, by name.

    Returns:
        A filled marker where the difference is significant after Holm's correction, an open one
        elsewhere; differences and p-values are written at the right.
    """
    rows = [row for row in comparisons.rows if row.difference.low == row.difference.low]
    rows.sort(key=lambda row: -row.difference.mean)
    figure = Figure(figsize=(NARROW, 0.22 * len(rows) + MARGIN + 0.3), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        one, colour = row.difference, styles[row.method]["color"]
        significant = row.adjusted < SIGNIFICANCE
        axes.plot([one.low, one.high], [place, place], color=colour, lw=1.6, solid_capstyle="butt")
        axes.plot(
            one.mean, place, ls="", marker=styles[row.method]["marker"], ms=6, color=colour,
            markerfacecolor=colour if significant else "white", markeredgewidth=1.2,
        )  # fmt: skip
        _write_beside(axes, place, signed(one.mean), p_text(row.adjusted), INK)
    _write_beside(axes, -0.9, "difference", "p (Holm)", FAINT)
    axes.axvline(0, color=INK, lw=0.8, zorder=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [row.method for row in rows])
    axes.tick_params(axis="y", left=False)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"difference of the {over} to {comparisons.reference} (points), 95 % interval")
    axes.spines["left"].set_visible(False)
    return figure


def _write_beside(axes: Axes, place: float, first: str, second: str, colour: str) -> None:
    """Two columns of text right of the axes."""
    for points, text in zip(COLUMNS, (first, second), strict=True):
        axes.annotate(
            text, (1, place), (points, 0), ("axes fraction", "data"), "offset points",
            ha="right", va="center", fontsize=7.5, color=colour, annotation_clip=False,
        )  # fmt: skip
