"""Figure: what each method gains over the reference, category by category, common ones first."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullLocator

from satl.report.claims import signed
from satl.report.style import FAINT, INK, WIDE

NAMED = 90  # categories: more names than this cannot be read


def gain_figure(gains: pd.DataFrame, counts: pd.Series, reference: str) -> Figure:
    """Draw a map of the gains, one row per method, one column per category.

    Args:
        gains: columns method, category, mean: the difference of the AP in points.
        counts: positive training labels by category, the commonest first; drawn on top.
        reference: what the gains are over.

    Returns:
        Blue is a gain, red a loss; the mean over the categories is written at the right.
    """
    table = gains.pivot(index="method", columns="category", values="mean")
    table = table.reindex(index=list(dict.fromkeys(gains["method"])))
    table = table[[name for name in counts.index if name in table]]
    heights = [0.55, 0.2 * len(table)]
    named = len(table.columns) <= NAMED
    below = 0.06 * max(map(len, table.columns)) + 0.25 if named else 0.5
    spacing = ConstrainedLayoutEngine(h_pad=0.02, hspace=0.02)
    figure = Figure(figsize=(WIDE, sum(heights) + below + 0.35), layout=spacing)
    top, cells = figure.subplots(2, sharex=True, height_ratios=heights)
    _draw_counts(top, counts[table.columns])
    image = _draw_gains(cells, table)
    _draw_scale(image, [top, cells], reference)
    _name_categories(cells, list(table.columns), named)
    return figure


def _draw_counts(axes: Axes, counts: pd.Series) -> None:
    axes.bar(range(len(counts)), counts, color=FAINT, alpha=0.6, width=0.8, lw=0)
    axes.set_yscale("log")
    # The extremes, as often less than two powers of ten are among the counts.
    present = counts[counts > 0]
    if len(present):
        least, most = present.min(), present.max()
        ticks = [least, most] if most > 1.5 * least else [most]  # else they would overlap
        axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.set_ylim(bottom=least / 2)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("positives", fontsize=7)
    axes.tick_params(bottom=False, labelsize=6.5)
    axes.grid(visible=False)


def _draw_gains(axes: Axes, table: pd.DataFrame) -> AxesImage:
    values = table.to_numpy()
    # One outlier among many categories must not pale the rest.
    extent = max(float(np.nanpercentile(np.abs(values), 98)), 0.5)
    image = axes.imshow(values, cmap="RdBu", vmin=-extent, vmax=extent, aspect="auto")
    axes.set_yticks(range(len(table)), list(table.index))
    axes.tick_params(left=False, bottom=False)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    _write_beside(axes, -0.85, "mean", FAINT)
    for place, mean in enumerate(table.mean(axis="columns")):
        _write_beside(axes, place, signed(mean, digits=1), INK)
    return image


def _draw_scale(image: AxesImage, panels: Sequence[Axes], reference: str) -> None:
    bar = panels[0].figure.colorbar(image, ax=panels, fraction=0.025, pad=0.07, extend="both")
    bar.set_label(f"gain of AP over\n{reference} (points)", fontsize=7)
    bar.ax.tick_params(labelsize=6.5)
    bar.outline.set_visible(False)


def _write_beside(axes: Axes, place: float, text: str, colour: str) -> None:
    axes.annotate(
        text, (1, place), (26, 0), ("axes fraction", "data"), "offset points", ha="right",
        va="center", fontsize=7.5, color=colour, annotation_clip=False,
    )  # fmt: skip


def _name_categories(axes: Axes, categories: list[str], named: bool) -> None:
    if named:
        size = 7 if len(categories) <= 40 else 5
        axes.set_xticks(range(len(categories)), categories, rotation=90, fontsize=size)
        return
    axes.set_xticks([])
    axes.set_xlabel(f"{len(categories)} categories, the commonest at the left")
