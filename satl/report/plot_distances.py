"""Figure: how far the scores of known labels are from those of hidden ones, by known ratio."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from satl.report.score_distances import SIDES
from satl.report.style import FAINT, WIDE, LineStyles, legend_below


def distance_figure(distances: pd.DataFrame, styles: LineStyles) -> Figure:
    """Draw the distance of each method, one panel for positives and one for negatives.

    Args:
        distances: one row per run and side: method, known_ratio, seed, side, distance and
            expected (means over categories, `score_distances`).
        styles: how to draw each method, by name.

    Returns:
        Mean over seeds with a band of one standard deviation where there are several; dotted,
        what two samples of one distribution would show.
    """
    rows = distances.assign(percent=100 * distances["known_ratio"])
    figure = Figure(figsize=(WIDE, 2.6), layout="constrained")
    panels = figure.subplots(1, len(SIDES), sharey=True)
    for axes, side in zip(panels, SIDES, strict=True):
        of_side = rows[rows["side"] == side]
        for method, of_method in of_side.groupby("method", sort=False):
            look = {"err_kws": {"lw": 0, "alpha": 0.18}} | styles[str(method)]
            sns.lineplot(of_method, x="percent", y="distance", errorbar="sd", ax=axes, **look)
        equal = of_side.groupby("percent")["expected"].mean()
        axes.plot(equal.index, equal, color=FAINT, ls=":", lw=1.2)
        axes.set(
            title=f"{side}s", xlabel="known labels (%)", ylabel="distance known – hidden",
            xticks=sorted(set(rows["percent"])), ylim=(0, None),
        )  # fmt: skip
        sns.despine(ax=axes)
    methods = set(rows["method"])
    handles = [
        Line2D([], [], label=name, **look) for name, look in styles.items() if name in methods
    ]
    handles.append(Line2D([], [], color=FAINT, ls=":", lw=1.2, label="if both were alike"))
    legend_below(figure, handles)
    return figure
