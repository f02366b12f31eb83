"""Figure: how far the scores of known labels are from those of hidden ones, by known ratio."""

from collections.abc import Iterable

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from satl.config import Known
from satl.report.score_distances import SIDES
from satl.report.style import FAINT, WIDE, LineStyles, in_order, legend_below

GAP = 15  # per cent: between the last known ratio and the settings that are none


def distance_figure(distances: pd.DataFrame, styles: LineStyles) -> Figure:
    """Draw the distance of each method, one panel for positives and one for negatives.

    Args:
        distances: one row per run and side: method, known_ratio, seed, side, distance and
            expected (means over categories, `score_distances`).
        styles: how to draw each method, by name.

    Returns:
        Mean over seeds with a band of one standard deviation where there are several; dotted,
        what two samples of one distribution would show. Other settings than known ratios are
        points at the right.
    """
    place = places(distances["known_ratio"])
    rows = distances.assign(percent=distances["known_ratio"].map(place).astype(float))
    names = [one if isinstance(one, str) else f"{100 * one:.0f}" for one in place]
    is_named = rows["known_ratio"].map(lambda known: isinstance(known, str))
    figure = Figure(figsize=(WIDE, 2.6), layout="constrained")
    panels = figure.subplots(1, len(SIDES), sharey=True)
    for axes, side in zip(panels, SIDES, strict=True):
        of_side = rows[(rows["side"] == side) & ~is_named]
        _draw_points(axes, rows[(rows["side"] == side) & is_named], styles)
        for method, of_method in of_side.groupby("method", sort=False):
            look = {"err_kws": {"lw": 0, "alpha": 0.18}} | styles[str(method)]
            sns.lineplot(of_method, x="percent", y="distance", errorbar="sd", ax=axes, **look)
        equal = of_side.groupby("percent")["expected"].mean()
        axes.plot(equal.index, equal, color=FAINT, ls=":", lw=1.2)
        axes.set(
            title=f"{side}s", xlabel="known labels (%)", ylabel="distance known – hidden",
            ylim=(0, None),
        )  # fmt: skip
        axes.set_xticks(list(place.values()), names, rotation=30 if is_named.any() else 0)
        sns.despine(ax=axes)
    methods = set(rows["method"])
    handles = [
        Line2D([], [], label=name, **look) for name, look in styles.items() if name in methods
    ]
    handles.append(Line2D([], [], color=FAINT, ls=":", lw=1.2, label="if both were alike"))
    legend_below(figure, handles)
    return figure


def places(known: Iterable[Known]) -> dict[Known, float]:
    """Where each value stands on the axis: ratios at their per cent, names right of them."""
    ordered = in_order(known)
    ratios: dict[Known, float] = {one: 100 * one for one in ordered if not isinstance(one, str)}
    right = max(ratios.values(), default=0.0)
    names = [one for one in ordered if isinstance(one, str)]
    return ratios | {name: right + GAP * number for number, name in enumerate(names, start=1)}


def _draw_points(axes: Axes, rows: pd.DataFrame, styles: LineStyles) -> None:
    """Distance (filled) and expectation (dash) of each method at settings that are no ratios."""
    for method, of_method in rows.groupby("method", sort=False):
        means = of_method.groupby("percent")["distance"].agg(["mean", "std"])
        look = styles[str(method)] | {"linestyle": ""}
        axes.errorbar(means.index, means["mean"], yerr=means["std"].fillna(0), **look)
    expected = rows.groupby("percent")["expected"].mean()
    axes.plot(expected.index, expected, color=FAINT, ls="", marker="_", ms=9)
