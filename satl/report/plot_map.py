"""Figure: mAP by the share of known labels, one line per method; for a single share, one dot."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import (
    Affine2D,
    ScaledTranslation,
    Transform,
    blended_transform_factory,
)

from satl.report.style import FAINT, INK, NARROW, LineStyles, percent

LEAST_SPAN = 5.0  # per cent: on a shorter axis, noise would look like a difference
KEY = (8, 30, 34)  # points right of the axes: where a line's sample starts, ends; its name


def map_figure(summary: pd.DataFrame, styles: LineStyles) -> Figure:
    """Draw the last-epoch mAP of one data set.

    Args:
        summary: rows of `summarise` of one data set: of known ratios, or of one other setting.
        styles: how to draw each method, by name.

    Returns:
        The mean over seeds per method, with one standard deviation where there are several: lines
        over the known ratios, named at their right end, or, where only one of them has a mAP, a
        dot per method, the highest on top.
    """
    rows = summary[summary["selection"] == "last"].dropna(subset="mAP")
    draw = _lines if rows["known_ratio"].nunique() > 1 else _dots
    return draw(rows, styles)


def _lines(rows: pd.DataFrame, styles: LineStyles) -> Figure:
    rows = rows.assign(percent=100 * rows["known_ratio"])
    figure = Figure(
        figsize=(NARROW, max(3.1, 0.17 * rows["method"].nunique() + 0.7)), layout="constrained"
    )
    axes = figure.subplots()
    for method, of_method in rows.groupby("method", sort=False):
        look = {"err_kws": {"lw": 0, "alpha": 0.18}} | styles[str(method)]
        sns.lineplot(of_method, x="percent", y="mAP", errorbar="sd", ax=axes, **look)
    axes.set(xlabel="known labels (%)", ylabel="mAP (%)", xticks=sorted(set(rows["percent"])))
    axes.margins(x=0.03)
    axes.set_ylim(at_least(LEAST_SPAN, *axes.get_ylim()))
    sns.despine(ax=axes)
    _name_lines(axes, rows, styles)
    return figure


def _name_lines(axes: Axes, rows: pd.DataFrame, styles: LineStyles) -> None:
    """Write a sample and the name of each line right of the axes, near where the line ends."""
    ends = rows.groupby(["method", "percent"])["mAP"].mean().reset_index("percent")
    ends = ends.groupby("method").last().sort_values("mAP", kind="stable")
    low, high = axes.get_ylim()
    room = _height(axes) - 0.7
    heights = spread(((ends["mAP"] - low) / (high - low)).to_numpy(), 0.15 / room)
    beside = _beside(axes)
    start, stop, name = KEY
    for (method, end), height in zip(ends.iterrows(), heights, strict=True):
        look = styles[str(method)]
        axes.annotate(
            "", (end["percent"], end["mAP"]), (start, height), "data", beside,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": look["color"], "lw": 0.6, "alpha": 0.6,
                        "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip
        axes.plot(
            [start, (start + stop) / 2, stop], [height] * 3, transform=beside, clip_on=False,
            markevery=[1], **look,
        )  # fmt: skip
        axes.annotate(
            str(method), (name, height), xycoords=beside, color=look["color"], va="center",
            fontsize=7.5, annotation_clip=False,
        )  # fmt: skip


def _height(axes: Axes) -> float:
    """Of the whole figure, in inches."""
    figure = axes.get_figure(root=True)
    assert figure is not None  # `axes` were made by one
    return float(figure.get_figheight())


def _beside(axes: Axes) -> Transform:
    """Points right of the axes, and fractions of their height."""
    points = Affine2D().scale(1 / 72) + axes.figure.dpi_scale_trans
    across = points + ScaledTranslation(1, 0, axes.transAxes)  # type: ignore[arg-type]  # works
    return blended_transform_factory(across, axes.transAxes)


def _dots(rows: pd.DataFrame, styles: LineStyles) -> Figure:
    """Named at the left, with the mean at the right; bars are one standard deviation."""
    over_seeds = rows.groupby("method", sort=False)["mAP"].agg(["mean", "std"])
    over_seeds = over_seeds.sort_values("mean", ascending=False, kind="stable")
    figure = Figure(figsize=(NARROW, 0.22 * len(over_seeds) + 0.75), layout="constrained")
    axes = figure.subplots()
    for place, (method, (mean, std)) in enumerate(over_seeds.iterrows()):
        look = styles[str(method)]
        deviation = None if np.isnan(std) else std
        axes.errorbar(mean, place, xerr=deviation, capsize=0, ms=6, **look)
        axes.annotate(
            f"{mean:.1f}" + ("" if deviation is None else f" ± {std:.1f}"), (1, place),
            (6, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=7.5,
            color=INK, annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(at_least(LEAST_SPAN, *axes.get_xlim()))
    axes.set_ylim(len(over_seeds) - 0.4, -0.6)
    axes.set_yticks(range(len(over_seeds)), list(over_seeds.index))
    axes.tick_params(axis="y", left=False)
    known = rows["known_ratio"].iloc[0]
    labels = f"{known} labels" if isinstance(known, str) else f"{percent(known)} labels"
    axes.set_xlabel(f"mAP (%) at {labels}")
    axes.grid(axis="y", color=FAINT, alpha=0.3, ls=(0, (1, 3)))
    sns.despine(ax=axes, left=True)
    return figure


def at_least(span: float, low: float, high: float) -> tuple[float, float]:
    """Widen `low` to `high` about their middle until they are `span` apart."""
    short = max(0.0, span - (high - low)) / 2
    return low - short, high + short


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
