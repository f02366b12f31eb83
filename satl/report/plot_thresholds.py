"""Figure: how the thresholds of a method's categories move over the epochs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from satl.report.style import COLOURS, FAINT, finish_panels, in_order, legend_below, width_of

SIDES = {"tau_pos": "τ₊ (logit)", "tau_neg": "τ₋ (logit)"}


def threshold_figure(thresholds: pd.DataFrame, positives: pd.Series) -> Figure:
    """Draw thresholds against epochs, one column of panels per known ratio.

    Args:
        thresholds: THRESHOLD_COLUMNS and known_ratio of one run per ratio, logits; ±inf and NaN
            are left out of lines and bands.
        positives: number of positive training labels by category.

    Returns:
        Positive thresholds above, negative ones below; up to six named categories over the
        median and the 10 to 90 % band of all. Outliers may leave the panel.
    """
    ratios = in_order(thresholds["known_ratio"])
    finite = thresholds.replace([np.inf, -np.inf], np.nan)
    sides = [side for side in SIDES if finite[side].notna().any()]
    named = _named_categories(finite, positives)
    figure = Figure(figsize=(width_of(len(ratios)), 0.4 + 1.75 * len(sides)), layout="constrained")
    panels = figure.subplots(len(sides), len(ratios), sharex=True, sharey="row", squeeze=False)
    for row, side in enumerate(sides):
        panels[row, 0].set_ylabel(SIDES[side])
        panels[row, 0].set_ylim(_limits(finite[side]))
        for axes, ratio in zip(panels[row], ratios, strict=True):
            _draw(axes, finite[finite["known_ratio"] == ratio], side, named)
    finish_panels(panels, ratios)
    legend_below(figure, panels[0, 0].get_legend_handles_labels()[0])
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, side: str, named: dict[str, str]) -> None:
    by_epoch = rows.pivot(index="epoch", columns="category", values=side)
    low, middle, high = (by_epoch.quantile(q, axis="columns") for q in (0.1, 0.5, 0.9))
    axes.fill_between(
        by_epoch.index, low, high, color="#c9ced6", alpha=0.55, lw=0, label="10–90 % of all"
    )
    axes.plot(by_epoch.index, middle, color=FAINT, lw=2.2, label="median of all")
    for i, (category, why) in enumerate(named.items()):
        axes.plot(
            by_epoch.index, by_epoch[category], color=COLOURS[i], lw=1.3,
            marker="osD^vP"[i], ms=3, markevery=max(1, len(by_epoch) // 5),
            markeredgecolor="white", markeredgewidth=0.4, label=f"{category} ({why})",
        )  # fmt: skip
    notes = _outside(by_epoch.iloc[-1], *axes.get_ylim())
    if notes:
        axes.text(
            0.98, 0.97, "at the end: " + ",\n".join(notes),
            transform=axes.transAxes, ha="right", va="top", fontsize=6.5, color=FAINT,
        )  # fmt: skip


def _outside(last: pd.Series, low: float, high: float) -> list[str]:
    """How many categories a panel from `low` to `high` cannot show in the last epoch."""
    counts = {
        "without a threshold": int(last.isna().sum()),
        f"above {high:.0f}": int((last > high).sum()),
        f"below {low:.0f}": int((last < low).sum()),
    }
    return [f"{count} of {len(last)} {where}" for where, count in counts.items() if count]


def _limits(values: pd.Series) -> tuple[float, float]:
    """Room for all but the outermost fiftieth, and for nothing beyond Tukey's outer fences.

    Thresholds of the first epochs, and those of rare categories, can be so far out that all
    others would be one line.
    """
    low, q1, q3, high = (float(values.quantile(q)) for q in (0.02, 0.25, 0.75, 0.98))
    low, high = max(low, q1 - 3 * (q3 - q1)), min(high, q3 + 3 * (q3 - q1))
    margin = 0.12 * (high - low) + 1e-3
    return low - margin, high + margin


def _named_categories(finite: pd.DataFrame, positives: pd.Series) -> dict[str, str]:
    """Category -> why it is named; judged at the last epoch of the lowest known ratio."""
    first = finite[finite["known_ratio"] == in_order(finite["known_ratio"])[0]]
    last = first[first["epoch"] == first["epoch"].max()].set_index("category")
    tau = last["tau_pos"].dropna().sort_values()
    common = positives.reindex(tau.index).sort_values(kind="stable")
    picks = [
        ("commonest", common.index[-1:]),
        ("rarest", common.index[:1]),
        ("highest τ₊", tau.index[-1:]),
        ("lowest τ₊", tau.index[:1]),
        ("2nd commonest", common.index[-2:-1]),
        ("2nd rarest", common.index[1:2]),
    ]
    named: dict[str, str] = {}
    for why, categories in picks:
        for category in categories:  # one, or none where too few categories have a threshold
            named[category] = f"{named[category]}, {why}" if category in named else why
    return named
