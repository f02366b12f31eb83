"""Figure: mAP against the share of known labels, one line a method."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, Transform

from satl.report.style import NARROW, Looks


def map_figure(summary: pd.DataFrame, looks: Looks) -> Figure:
    """Draw the last-epoch mAP of one data set.

    Args:
        summary: rows of `summarise` of one data set.
        looks: how to draw each method, by name.

    Returns:
        The mean over seeds a method, with a band of one standard deviation where there are
        several, and the name of each method at the right end of its line.
    """
    rows = summary[summary["selection"] == "last"].dropna(subset="mAP")
    rows = rows.assign(percent=100 * rows["known_ratio"])
    figure = Figure(
        figsize=(NARROW, max(3.1, 0.17 * rows["method"].nunique() + 0.7)), layout="constrained"
    )
    axes = figure.subplots()
    for method, of_method in rows.groupby("method", sort=False):
        look = {"err_kws": {"lw": 0, "alpha": 0.18}} | looks[str(method)]
        sns.lineplot(of_method, x="percent", y="mAP", errorbar="sd", ax=axes, **look)
    axes.set(xlabel="known labels (%)", ylabel="mAP (%)", xticks=sorted(set(rows["percent"])))
    axes.margins(x=0.03)
    sns.despine(ax=axes)
    _name_lines(axes, rows, looks)
    return figure


def _name_lines(axes: Axes, rows: pd.DataFrame, looks: Looks) -> None:
    """Write each method's name right of the axes, at the height where its line ends."""
    ends = rows.groupby(["method", "percent"])["mAP"].mean().reset_index("percent")
    ends = ends.groupby("method").last().sort_values("mAP")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    room = axes.figure.get_figheight() - 0.7
    heights = spread(((ends["mAP"] - low) / (high - low)).to_numpy(), 0.15 / room)
    for (method, end), height in zip(ends.iterrows(), heights, strict=True):
        look = looks[str(method)]
        axes.annotate(
            str(method), (end["percent"], end["mAP"]), (1, height), "data", _beside(axes, 17),
            color=look["color"], va="center", fontsize=7.5, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": look["color"], "lw": 0.6, "alpha": 0.6,
                        "shrinkA": 7, "shrinkB": 3, "relpos": (0, 0.5)},
        )  # fmt: skip
        marker = {key: value for key, value in look.items() if key != "linestyle"}
        axes.plot(1, height, transform=_beside(axes, 11), clip_on=False, **marker)


def _beside(axes: Axes, points: float) -> Transform:
    """Fractions of the axes, moved right by `points`."""
    return axes.transAxes + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def spread(heights: np.ndarray, gap: float) -> np.ndarray:
    """Move ascending `heights` in [0, 1] apart until neighbours differ by at least `gap`.

    Neighbours that are too close become a group around their common mean; groups that touch
    are merged (the pool-adjacent-violators algorithm on the heights less their even spacing).
    """
    steps = gap * np.arange(len(heights))
    groups: list[list[float]] = []
    for value in heights - steps:
        groups.append([value])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    merged = np.concatenate([np.full(len(group), np.mean(group)) for group in groups])
    return np.clip(merged, 0, max(0, 1 - steps[-1])) + steps
