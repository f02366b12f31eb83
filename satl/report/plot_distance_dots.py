"""Figure: the distances of `plot_distances` where there are too many methods for lines."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from satl.config import Known
from satl.report.score_distances import SIDES
from satl.report.style import (
    FAINT,
    MARKERS,
    WIDE,
    legend_below,
    line_styles,
    lowest_middle_highest,
    percent,
)

MARGIN = 0.7  # inches above and below the rows


def distance_dots(distances: pd.DataFrame) -> Figure:
    """Draw one row per method, the highest distance of positives on top.

    Args:
        distances: as of `distance_figure`.

    Returns:
        One panel for positives and one for negatives; a marker per method and known ratio (the
        lowest, the middle and the highest) or other setting, mean over seeds, with a bar of one
        standard deviation; dotted, what two samples of one distribution would show.
    """
    known = lowest_middle_highest(distances["known_ratio"])
    looks = _looks(known)
    methods = _ordered(distances[distances["known_ratio"] == known[0]], distances)
    height = 0.19 * len(methods) + MARGIN
    figure = Figure(figsize=(WIDE, height), layout="constrained")
    panels = figure.subplots(1, len(SIDES), sharey=True)
    for axes, side in zip(panels, SIDES, strict=True):
        of_side = distances[distances["side"] == side]
        for one in known:
            _draw(axes, of_side[of_side["known_ratio"] == one], methods, looks[one])
        axes.set(title=f"{side}s", xlabel="distance known – hidden", xlim=(0, None))
        axes.set_yticks(range(len(methods)), methods)
        axes.set_ylim(len(methods) - 0.4, -0.6)
        axes.tick_params(axis="y", left=False)
        sns.despine(ax=axes, left=True)
    handles = [Line2D([], [], ls="", label=percent(one), **look) for one, look in looks.items()]
    handles.append(Line2D([], [], color=FAINT, ls=":", lw=1.2, label="if both were alike"))
    legend_below(figure, handles)
    return figure


def _looks(known: list[Known]) -> dict[Known, dict[str, Any]]:
    """Ratios from light to dark, other settings in colours of their own; no line."""
    ratios = [one for one in known if not isinstance(one, str)]
    palette = sns.color_palette("Blues", len(ratios) + 2)[2:]
    shades: dict[Known, Any] = dict(zip(ratios, palette, strict=True))
    others = line_styles([str(one) for one in known])
    return {
        one: {
            "color": shades.get(one, others[str(one)]["color"]),
            "marker": MARKERS[0] if one in shades else MARKERS[1 + at % (len(MARKERS) - 1)],
            "markeredgecolor": "white",
            "markeredgewidth": 0.5,
        }
        for at, one in enumerate(known)
    }


def _ordered(first: pd.DataFrame, distances: pd.DataFrame) -> list[str]:
    """Methods by the distance of positives under the first of the known ratios or settings."""
    means = first[first["side"] == SIDES[0]].groupby("method")["distance"].mean()
    ordered = list(means.sort_values(ascending=False, kind="stable").index)
    return ordered + [name for name in distances["method"].unique() if name not in ordered]


def _draw(axes: Axes, rows: pd.DataFrame, methods: list[str], look: dict[str, Any]) -> None:
    if rows.empty:
        return
    by_method = rows.groupby("method")["distance"].agg(["mean", "std"])
    places = [methods.index(str(name)) for name in by_method.index]
    deviations = by_method["std"].fillna(0)
    axes.errorbar(by_method["mean"], places, xerr=deviations, ls="", elinewidth=1, **look)
    axes.axvline(rows["expected"].mean(), color=look["color"], ls=":", lw=1.2, zorder=0)
