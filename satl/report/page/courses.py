"""What the page shows over epochs and by category: quality, thresholds, score distributions."""

from typing import Any

import numpy as np
import pandas as pd

from satl.config import ratio_name
from satl.report.page.numbers import rounded
from satl.report.plot_pseudo import MEASURES
from satl.report.plot_scores import BINS_MERGED
from satl.runs.evaluated import Run

Nested = dict[str, dict[str, Any]]


def courses(runs: list[Run]) -> Nested:
    """By method and ratio: test mAP and MEASURES over the epochs, mean and deviation over seeds."""
    names = ["test_mAP", *MEASURES]
    return _nested(
        (method, ratio, _over_seeds(of_both, names))
        for (method, ratio), of_both in _grouped(runs).items()
    )


def _grouped(runs: list[Run]) -> dict[tuple[str, str], list[Run]]:
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.key.method, ratio_name(run.key.known_ratio)), []).append(run)
    return groups


def _nested(items: Any) -> Nested:
    tree: Nested = {}
    for method, ratio, value in items:
        tree.setdefault(method, {})[ratio] = value
    return tree


def _over_seeds(runs: list[Run], names: list[str]) -> dict[str, Any]:
    """Columns mean and std over the epochs by name, of what has a value at all."""
    frames = [pd.DataFrame(run.metrics["epochs"]).set_index("epoch") for run in runs]
    rows = pd.concat([frame.reindex(columns=names).astype(float) for frame in frames])
    by_epoch = rows.groupby(level="epoch")
    mean, std = by_epoch.mean(), by_epoch.std()
    return {
        name: {"mean": rounded(mean[name], 2), "std": rounded(std[name], 2)}
        for name in names
        if mean[name].notna().any()
    }


def threshold_courses(runs: list[Run], categories: list[str]) -> Nested:
    """By method and ratio: for each side, a list per category of thresholds over the epochs.

    Of methods that have thresholds; `runs` are of one seed.
    """
    return _nested(
        (run.key.method, ratio_name(run.key.known_ratio), sides)
        for run in runs
        if (sides := _thresholds(run.folder.thresholds(), categories))
    )


def _thresholds(rows: pd.DataFrame, categories: list[str]) -> dict[str, Any]:
    sides = {}
    for side in ("tau_pos", "tau_neg"):
        wide = rows.pivot(index="category", columns="epoch", values=side).reindex(categories)
        if np.isfinite(wide.to_numpy(dtype=float)).any():
            sides[side] = [rounded(values, 2) for values in wide.to_numpy(dtype=float)]
    return sides


def score_distributions(runs: list[Run], categories: list[str]) -> Nested:
    """By method and ratio: counts of training logits in common bins, by kind of label.

    A category's counts begin with the number of its first bin that is not empty, and end with
    the last such bin.
    """
    return _nested(
        (run.key.method, ratio_name(run.key.known_ratio), _distribution(run, categories))
        for run in runs
    )


def _distribution(run: Run, categories: list[str]) -> dict[str, Any]:
    rows = run.folder.score_histogram()
    edges = np.unique(rows["left"])[::BINS_MERGED]
    counts = rows.pivot(index=["label", "category"], columns="left", values="count")
    labels = {
        str(label): [
            _trimmed(row) for row in of_label.droplevel("label").loc[categories].to_numpy()
        ]
        for label, of_label in counts.groupby(level="label")
    }
    low, high = rounded((edges[0], rows["right"].max()), 4)
    return {"low": low, "high": high, "bins": len(edges), "labels": labels}


def _trimmed(counts: np.ndarray) -> list[int]:
    merged = counts.reshape(-1, BINS_MERGED).sum(axis=1)
    filled = np.flatnonzero(merged)
    if not filled.size:
        return []
    return [int(filled[0]), *merged[filled[0] : filled[-1] + 1].tolist()]
