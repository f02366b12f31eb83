"""Figure: how true the pseudo-labels are and how many there are, over the epochs."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from satl.report.style import INK, LineStyles, finish_panels, in_order, legend_below, width_of

MEASURES = {
    "pseudo_positive_precision": "precision of\npositives (%)",
    "pseudo_positive_recall": "recall of\npositives (%)",
    "pseudo_negative_precision": "precision of\nnegatives (%)",
    "pseudo_negative_recall": "recall of\nnegatives (%)",
    "pseudo_coverage": "unknown labels\ncovered (%)",
}


def pseudo_label_figure(
    quality: pd.DataFrame, nominal: dict[str, float], styles: LineStyles
) -> Figure:
    """Draw precision, recall and coverage of the pseudo-labels, one column per known ratio.

    Args:
        quality: one row per run and epoch: method, known_ratio, seed, epoch and the keys of
            MEASURES, per cent; NaN where there was no pseudo-label.
        nominal: precision in per cent that a method aims at, for methods that aim at one;
            drawn dotted beside the true precision of the positives.
        styles: how to draw each method, by name.

    Returns:
        Mean over seeds per method, with a band of one standard deviation where there are several.
    """
    ratios = in_order(quality["known_ratio"])
    measures = [name for name in MEASURES if quality[name].notna().any()]
    figure = Figure(
        figsize=(width_of(len(ratios)), 0.5 + 1.1 * len(measures)), layout="constrained"
    )
    panels = figure.subplots(
        len(measures), len(ratios), sharex=True, sharey="row", squeeze=False
    )  # fmt: skip
    for row, measure in zip(panels, measures, strict=True):
        for axes, ratio in zip(row, ratios, strict=True):
            _draw(axes, quality[quality["known_ratio"] == ratio], measure, styles)
        row[0].set_ylabel(MEASURES[measure])
    finish_panels(panels, ratios)
    methods = set(quality["method"])
    handles = [
        Line2D([], [], label=name, **look) for name, look in styles.items() if name in methods
    ]
    if measures[0] == "pseudo_positive_precision" and nominal:
        handles.append(_draw_nominal(panels[0], sorted(set(nominal.values()))))
    legend_below(figure, handles)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, measure: str, styles: LineStyles) -> None:
    for method, of_method in rows.dropna(subset=measure).groupby("method", sort=False):
        sns.lineplot(
            of_method, x="epoch", y=measure, errorbar="sd", ax=axes, markersize=3.5,
            err_kws={"lw": 0, "alpha": 0.18}, **styles[str(method)],
        )  # fmt: skip
    axes.set(xlabel="", ylabel="")
    axes.margins(y=0.08)


def _draw_nominal(panels: np.ndarray, aims: list[float]) -> Line2D:
    """A dotted line at each precision aimed at, per cent; returns the legend's entry."""
    look: dict[str, Any] = {"color": INK, "lw": 1, "ls": ":"}
    for axes in panels:
        for aim in aims:
            axes.axhline(aim, **look)
    named = ", ".join(f"{aim:g}" for aim in aims)
    return Line2D([], [], label=f"precision aimed at ({named} %)", **look)
