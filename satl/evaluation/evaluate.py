"""From a run folder and the ground truth to metrics: the only step that reads the latter."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from satl import metrics
from satl.core.errors import UserError
from satl.core.files import link_files, write_arrays, write_json, writing
from satl.core.labels import UNKNOWN
from satl.data.table import LabelTable
from satl.evaluation.bootstrap import resampled_map
from satl.evaluation.held_out import validation_scores
from satl.runs.folder import TRAIN_FILES, RunFolder

HISTOGRAM_BINS = 80


def evaluate(
    folder: Path,
    observed: LabelTable,
    train: LabelTable,
    test: LabelTable,
    out: Path,
    resamples: int = 1000,
    validation: LabelTable | None = None,
) -> None:
    """Write the EVALUATION_FILES (satl.runs.folder) beside the files of a trained run.

    Args:
        folder: the run folder, as `satl train` left it.
        observed: the partially labelled training table that the run was trained on.
        train: the training table as annotated; what it does not know is no ground truth.
        test: the test table as annotated; what it does not know counts in no metric.
        out: the complete run folder; where it is not `folder` itself, the run's files are
            linked there.
        resamples: of the test images, for the uncertainty of the mAP.
        validation: the images held out of training with what is known of their labels, where the
            run has predicted such images.

    Raises:
        UserError: the tables are not those of the run, or its scores are not finite.
    """
    train.check_is_ground_truth("the training table given as ground truth")
    test.check_is_ground_truth("the test table given as ground truth")
    run = RunFolder(folder)
    predictions, training = run.predictions(), run.training_scores()
    _check_rows(folder / "predictions.npz", predictions, test)
    _check_finite(folder, predictions["logits"])
    _check_rows(folder / "training_scores.npz", training, train)
    trained_on = run.config()["split"]
    if trained_on["table_sha256"] != observed.digest():
        raise UserError(f"{folder}: the run was trained on other partial labels than those given")
    if trained_on["test_images_sha256"] != test.without_labels().digest():
        raise UserError(f"{folder}: the run predicted other test images than those given")
    held_out = validation_scores(folder, predictions, validation)
    if out != folder:
        link_files(folder, out, TRAIN_FILES)
    histogram = score_histogram(training["logits"], observed.labels, train.labels)
    histogram["category"] = histogram["category"].map(dict(enumerate(train.categories)))
    with writing(out / "score_histogram.parquet") as temporary:
        histogram.to_parquet(temporary, index=False)
    logits = metrics.only_judged(predictions["logits"], test.labels)
    resampled = resampled_map(logits[-1], test.labels, resamples)
    write_arrays(out / "bootstrap.npz", mAP=100 * resampled)
    courses = {"test": [metrics.mean_ap(epoch, test.labels) for epoch in logits]}
    if held_out is not None:
        courses["validation"] = held_out
    # Last, because a folder that has it counts as evaluated.
    write_json(
        out / "metrics.json",
        metrics_by_selection(logits, test, courses)
        | judged_entries(observed, train, test)
        | {"epochs": epoch_metrics(courses, training["pseudo_labels"], observed, train)},
    )


def _check_rows(file: Path, arrays: dict[str, np.ndarray], table: LabelTable) -> None:
    same = np.array_equal(arrays["image_ids"], table.image_ids)
    if not same or tuple(arrays["categories"].tolist()) != table.categories:
        raise UserError(f"{file}: its images or categories are not those of {table.folder}")


def _check_finite(folder: Path, logits: np.ndarray) -> None:
    """(E, N, C) test logits of every epoch must all be finite."""
    bad = np.flatnonzero(~np.isfinite(logits).all((1, 2)))
    if bad.size:
        raise UserError(
            f"{folder / 'predictions.npz'}: scores of epoch {bad[0] + 1} are not finite, so the "
            f"training diverged; remove {folder}, lower training.learning_rate and train again"
        )


def metrics_by_selection(
    logits: np.ndarray, test: LabelTable, courses: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """Each selection of an epoch, and AP by category of the last one, in per cent.

    Args:
        logits: (E, N, C) of every epoch, of `satl.metrics.only_judged`.
        test: the ground truth.
        courses: mAP of every epoch: `test`, and `validation` on known labels held out, if any are.
    """
    chosen = {"last": len(logits) - 1}
    for part in ("validation", "test"):
        if part in courses:
            chosen[f"best_on_{part}"] = _first_best(courses[part])
    ap = metrics.average_precision(logits[-1], test.labels)
    return {
        "selections": {
            name: {"epoch": epoch + 1, **_all_metrics(logits[epoch], test.labels)}
            for name, epoch in chosen.items()
        },
        "per_category_AP": dict(zip(test.categories, map(_per_cent, ap), strict=True)),
        "categories_without_positives": test.counts()["categories_without_positives"],
    }


def _first_best(scores: Sequence[float]) -> int:
    """The first of the highest; the last where all are NaN: no category has positives."""
    return len(scores) - 1 if np.isnan(scores).all() else int(np.nanargmax(scores))


def judged_entries(observed: LabelTable, train: LabelTable, test: LabelTable) -> dict[str, Any]:
    """How many test labels, and how many labels unknown to training, have a ground truth."""
    hidden = train.labels[observed.labels == UNKNOWN]
    return {
        name: {"judged": int((labels != UNKNOWN).sum()), "all": int(labels.size)}
        for name, labels in (("test_entries", test.labels), ("hidden_entries", hidden))
    }


def _all_metrics(logits: np.ndarray, targets: np.ndarray) -> dict[str, float | None]:
    return {k: _per_cent(v) for k, v in metrics.all_metrics(logits, targets).items()}


def epoch_metrics(
    courses: Mapping[str, Sequence[float]],
    pseudo_labels: np.ndarray,
    observed: LabelTable,
    train: LabelTable,
) -> list[dict[str, Any]]:
    """Per epoch: mAP, and precision, recall and coverage of the pseudo-labels (per cent).

    Args:
        courses: mAP of every epoch, see `metrics_by_selection`.
        pseudo_labels: (E, N, C) of every epoch.
        observed: the labels that training saw.
        train: the ground truth.
    """
    lines = []
    for index, pseudo in enumerate(pseudo_labels):
        quality = metrics.pseudo_label_quality(pseudo, observed.labels, train.labels)
        if not pseudo.any():
            quality = dict.fromkeys(quality, np.nan)
        scores = {f"{part}_mAP": course[index] for part, course in courses.items()}
        values = {k: _per_cent(v) for k, v in {**scores, **quality}.items()}
        lines.append({"epoch": index + 1, **values})
    return lines


def score_histogram(logits: np.ndarray, observed: np.ndarray, complete: np.ndarray) -> pd.DataFrame:
    """Logits binned by category and kind of label, in 80 common bins.

    Args:
        logits: (N, C) training logits; NaN where an image was not in the epoch.
        observed: (N, C) labels that training saw.
        complete: (N, C) all labels, hidden ones included.

    Returns:
        Columns category (index), label (known_positive, hidden_positive, known_negative,
        hidden_negative), left, right (bin edges), count.
    """
    seen = ~np.isnan(logits)
    values = logits[seen]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    edges = np.linspace(low, max(high, low + 1e-3), HISTOGRAM_BINS + 1)
    kinds = {
        "known_positive": observed > 0,
        "hidden_positive": (observed == 0) & (complete > 0),
        "known_negative": observed < 0,
        "hidden_negative": (observed == 0) & (complete < 0),
    }
    parts = [
        pd.DataFrame(
            {
                "category": category,
                "label": kind,
                "left": edges[:-1],
                "right": edges[1:],
                "count": np.histogram(logits[rows[:, category], category], edges)[0],
            }
        )
        for kind, where in kinds.items()
        for rows in [where & seen]
        for category in range(logits.shape[1])
    ]
    return pd.concat(parts, ignore_index=True)


def _per_cent(value: float) -> float | None:
    """Per cent with what a float is good for; None (JSON's null) where not defined."""
    return None if np.isnan(value) else round(100 * float(value), 6)
