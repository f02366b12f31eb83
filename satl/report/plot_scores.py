"""Figure: where a method's logits of positives and negatives lie, and its thresholds there."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from satl.report.style import COLOURS, FAINT, in_order, legend_below, percent, width_of

POSITIVE, NEGATIVE = COLOURS[0], COLOURS[1]
GROUPS = {"negative": NEGATIVE, "positive": POSITIVE}
TAUS = {"tau_pos": (POSITIVE, "τ₊", "-"), "tau_neg": (NEGATIVE, "τ₋", (0, (2, 1)))}
FEW, PIN = 12, 0.45  # so few labels make no distribution: each is drawn as a pin of this height
BINS_MERGED = 2  # drawn in pairs of the stored bins: calmer lines for rare categories


def score_figure(histograms: pd.DataFrame, thresholds: pd.DataFrame) -> Figure:
    """Draw the distributions of the training logits: categories in rows, known ratios in columns.

    Args:
        histograms: score_histogram.parquet with a column known_ratio, one run per ratio.
        thresholds: THRESHOLD_COLUMNS and known_ratio of the same runs, last epoch, logits.

    Returns:
        About six categories from common to rare; known labels filled, hidden ones outlined.
    """
    ratios: list[Any] = in_order(histograms["known_ratio"])
    counts = positive_counts(histograms[histograms["known_ratio"] == ratios[0]])
    categories = _common_middle_rare(counts)
    figure = Figure(
        figsize=(width_of(len(ratios)), 0.5 + 0.8 * len(categories)), layout="constrained"
    )
    panels = figure.subplots(len(categories), len(ratios), sharex=True, squeeze=False)
    panels[0, 0].set_xlim(*_range(histograms[histograms["category"].isin(categories)]))
    for column, ratio in enumerate(ratios):
        bins = histograms[histograms["known_ratio"] == ratio].set_index("category")
        taus = thresholds[thresholds["known_ratio"] == ratio].set_index("category")
        for axes, category in zip(panels[:, column], categories, strict=True):
            _draw(axes, bins.loc[category])
            _draw_thresholds(axes, taus.loc[category])
        panels[0, column].set_title(percent(ratio))
        panels[-1, column].set_xlabel("logit of a training label")
    for axes in panels[:-1].flat:
        axes.tick_params(bottom=False)
    for axes, category in zip(panels[:, 0], categories, strict=True):
        kind = "positive" if counts[category] == 1 else "positives"
        label = f"{category}\n{counts[category]} {kind}"
        axes.set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6)
    legend_below(figure, _key(), "each distribution scaled to its own peak")
    return figure


def positive_counts(histogram: pd.DataFrame) -> pd.Series:
    """Number of positive training labels, known or hidden, by category; commonest first."""
    rows = histogram[histogram["label"].isin(["known_positive", "hidden_positive"])]
    return rows.groupby("category")["count"].sum().sort_values(ascending=False, kind="stable")


def _common_middle_rare(counts: pd.Series) -> list[str]:
    """Two of each kind among the categories that have a positive; all, where they are few."""
    names = list(counts[counts > 0].index)
    middle = len(names) // 2
    return names if len(names) <= 6 else names[:2] + names[middle - 1 : middle + 1] + names[-2:]


def _draw(axes: Axes, bins: pd.DataFrame) -> None:
    for group, colour in GROUPS.items():
        for known in (True, False):
            name = f"{'known' if known else 'hidden'}_{group}"
            rows = bins[bins["label"] == name].sort_values("left")
            if rows["count"].sum() < FEW:
                _draw_single_labels(axes, rows, colour, known)
            else:
                _draw_distribution(axes, rows, colour, known)
    axes.set(ylim=(0, 1.12), yticks=[])
    axes.grid(False)
    axes.spines["left"].set_visible(False)


def _draw_distribution(axes: Axes, rows: pd.DataFrame, colour: Any, known: bool) -> None:
    """Scaled to its own peak: next to thousands of negatives, fifty positives would vanish."""
    edges = np.append(rows["left"], rows["right"].iloc[-1])[::BINS_MERGED]
    heights = rows["count"].to_numpy().reshape(-1, BINS_MERGED).sum(axis=1)
    heights = np.where(heights > 0, heights / heights.max(), np.nan)
    axes.stairs(heights, edges, fill=known, **_look(colour, known))


def _draw_single_labels(axes: Axes, rows: pd.DataFrame, colour: Any, known: bool) -> None:
    """One pin per bin that holds any."""
    filled = rows[rows["count"] > 0]
    logits = (filled["left"] + filled["right"]) / 2
    axes.vlines(logits, 0, PIN, color=colour, lw=1)
    axes.plot(logits, [PIN] * len(logits), **_pin(colour, known))


def _draw_thresholds(axes: Axes, taus: pd.Series) -> None:
    """One line per finite threshold; one beyond the panel is written at its edge instead."""
    left, right = axes.get_xlim()
    for side, (colour, name, line) in TAUS.items():
        tau = taus[side]
        if not np.isfinite(tau):
            continue
        if left <= tau <= right:
            axes.axvline(tau, color=colour, lw=1.8, ls=line)
        else:
            x, text = (1, f"{name} {tau:.1f} →") if tau > right else (0, f"← {name} {tau:.1f}")
            axes.text(
                x, 0.98, text, transform=axes.transAxes, fontsize=6.5, color=colour,
                ha="right" if x else "left", va="top",
            )  # fmt: skip


def _range(bins: pd.DataFrame) -> tuple[float, float]:
    """From the first to the last bin that holds anything."""
    filled = bins[bins["count"] > 0]
    return filled["left"].min(), filled["right"].max()


def _look(colour: Any, known: bool) -> dict[str, Any]:
    """Known labels as an area, hidden ones as an outline."""
    return {"color": colour, "alpha": 0.35, "lw": 0} if known else {"color": colour, "lw": 1.2}


def _pin(colour: Any, known: bool) -> dict[str, Any]:
    face = colour if known else "white"
    return {"color": colour, "marker": "o", "ls": "", "ms": 3.5, "markerfacecolor": face}


def _key() -> list[Artist]:
    entries: list[Artist] = []
    for known in (True, False):
        for group, colour in reversed(GROUPS.items()):
            name = f"{'known' if known else 'hidden'} {group}s"
            entries.append(Patch(fill=known, **_look(colour, known), label=name))
    for colour, name, line in TAUS.values():
        entries.append(Line2D([], [], color=colour, lw=1.8, ls=line, label=f"threshold {name}"))
    for known in (True, False):
        name = f"{'known' if known else 'hidden'}, if fewer than {FEW}"
        entries.append(Line2D([], [], **_pin(FAINT, known), label=name))
    return entries
