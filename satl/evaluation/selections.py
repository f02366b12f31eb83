"""Which epoch counts, and how good it is on the test images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satl import metrics
from satl.data.table import LabelTable

Course = Sequence[float]  # a value of every epoch, in 0 … 1


def selected_epochs(courses: Mapping[str, Course]) -> dict[str, int]:
    """The epoch of each selection (satl.runs.folder.SELECTIONS), from 1.

    Args:
        courses: mAP of every epoch: `test`, and `validation` on known labels held out, if any are.
    """
    selected = {"last": len(courses["test"])}
    for part in ("validation", "test"):
        if part in courses:
            selected[f"best_on_{part}"] = _first_best(courses[part])
    return selected


def _first_best(scores: Course) -> int:
    """The first of the highest; the last where all are NaN: no category has positives."""
    return len(scores) if np.isnan(scores).all() else int(np.nanargmax(scores)) + 1


def metrics_by_selection(
    logits: Mapping[int, NDArray], test: LabelTable, courses: Mapping[str, Course]
) -> dict[str, Any]:
    """Each selection of an epoch, and AP by category of the last one, in per cent.

    Args:
        logits: (N, C) by epoch, from 1, of the selected ones at least; of
            `satl.metrics.only_judged`.
        test: the ground truth.
        courses: as in `selected_epochs`.
    """
    selected = selected_epochs(courses)
    ap = metrics.average_precision(logits[selected["last"]], test.labels)
    return {
        "selections": {
            name: {"epoch": epoch, **_all_metrics(logits[epoch], test.labels)}
            for name, epoch in selected.items()
        },
        "per_category_AP": dict(zip(test.categories, map(per_cent, ap), strict=True)),
        "categories_without_positives": test.counts()["categories_without_positives"],
    }


def _all_metrics(logits: NDArray, targets: NDArray) -> dict[str, float | None]:
    return {k: per_cent(v) for k, v in metrics.all_metrics(logits, targets).items()}


def per_cent(value: float) -> float | None:
    """Per cent with what a float is good for; None (JSON's null) where not defined."""
    return None if np.isnan(value) else round(100 * float(value), 6)
