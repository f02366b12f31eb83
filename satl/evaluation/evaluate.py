"""From a run folder and the ground truth to metrics: the only step that reads the latter."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satl import metrics
from satl.core.errors import UserError
from satl.core.files import digest, link_files, write_arrays, write_json, writing
from satl.core.labels import UNKNOWN
from satl.data.table import LabelTable
from satl.evaluation.bootstrap import resampled_map
from satl.evaluation.epoch_file import EpochFile
from satl.evaluation.held_out import check_held_out
from satl.evaluation.histogram import histogram_table, score_counts
from satl.evaluation.pseudo_quality import pseudo_quality
from satl.evaluation.selections import Course, metrics_by_selection, per_cent, selected_epochs
from satl.runs.folder import RunFolder
from satl.runs.layout import MODEL_FILE, trained_files


def evaluate(
    folder: Path,
    observed: LabelTable,
    train: LabelTable,
    test: LabelTable,
    out: Path,
    resamples: int = 1000,
    validation: LabelTable | None = None,
    keep: str = "selected",
) -> None:
    """Write the EVALUATION_FILES (satl.runs.folder) beside the files of a trained run.

    Args:
        folder: the run folder, as `satl train` left it.
        observed: the partially labelled training table that the run was trained on.
        train: the training table as annotated; what it does not know is no ground truth.
        test: the test table as annotated; what it does not know counts in no metric.
        out: the complete run folder, which the run's files are linked to.
        resamples: of the test images, for the uncertainty of the mAP.
        validation: the images held out of training with what is known of their labels, where the
            run has predicted such images.
        keep: the scores of which epochs stay, `selected` or `all`: see
            `satl.evaluation.epoch_file`.

    Raises:
        UserError: the tables are not those of the run, or its scores are not finite.
    """
    train.check_is_ground_truth("the training table given as ground truth")
    test.check_is_ground_truth("the test table given as ground truth")
    run = RunFolder(folder)
    predictions = _predictions(run, test, validation)
    training = _training_scores(run, observed, train)
    _check_labels(run, observed, test)

    courses = predictions.values(lambda: _courses(predictions, test, validation))
    quality = training.values(
        lambda: pseudo_quality(training.arrays["pseudo_labels"], observed.labels, train.labels)
    )
    histogram = _histogram(training, observed, train)
    selected = selected_epochs(courses)
    if keep == "selected":
        predictions.keep(selected.values(), courses)
        training.keep(selected.values(), quality, drop=["logits"], **histogram)
    if out != folder:
        (out / MODEL_FILE).unlink(missing_ok=True)  # perhaps another run's
    link_files(folder, out, trained_files(folder))

    with writing(out / "score_histogram.parquet") as temporary:
        histogram_table(**histogram, categories=train.categories).to_parquet(temporary, index=False)
    logits = {
        epoch: metrics.only_judged(scores, test.labels)
        for epoch, scores in predictions.of("logits").items()
        if epoch in selected.values()
    }
    resampled = resampled_map(logits[selected["last"]], test.labels, resamples)
    write_arrays(out / "bootstrap.npz", mAP=100 * resampled)
    # Last, because a folder that has it counts as evaluated.
    write_json(
        out / "metrics.json",
        metrics_by_selection(logits, test, courses)
        | judged_entries(observed, train, test)
        | {"epochs": epoch_lines(courses, quality)},
    )


def _check_labels(run: RunFolder, observed: LabelTable, test: LabelTable) -> None:
    trained_on = run.config()["split"]
    if trained_on["table_sha256"] != observed.digest():
        raise UserError(f"{run.path}: the run was trained on other partial labels than those given")
    if trained_on["test_images_sha256"] != test.without_labels().digest():
        raise UserError(f"{run.path}: the run predicted other test images than those given")


def _predictions(run: RunFolder, test: LabelTable, validation: LabelTable | None) -> EpochFile:
    file, arrays = run.path / "predictions.npz", run.predictions()
    _check_rows(file, arrays, test)
    check_held_out(run.path, arrays, validation)
    names = ("logits", "validation_logits")
    predictions = EpochFile(file, arrays, names, _digest(test, validation))
    _check_finite(file, predictions.of("logits"))
    return predictions


def _training_scores(run: RunFolder, observed: LabelTable, train: LabelTable) -> EpochFile:
    file, arrays = run.path / "training_scores.npz", run.training_scores()
    _check_rows(file, arrays, train)
    return EpochFile(file, arrays, ("pseudo_labels",), _digest(observed, train))


def _digest(*tables: LabelTable | None) -> str:
    return digest([table and table.digest() for table in tables])


def _check_rows(file: Path, arrays: dict[str, NDArray], table: LabelTable) -> None:
    same = np.array_equal(arrays["image_ids"], table.image_ids)
    if not same or tuple(arrays["categories"].tolist()) != table.categories:
        raise UserError(f"{file}: its images or categories are not those of {table.folder}")


def _check_finite(file: Path, logits: Mapping[int, NDArray]) -> None:
    """(N, C) test logits of every epoch must all be finite."""
    for epoch, scores in logits.items():
        if not np.isfinite(scores).all():
            raise UserError(
                f"{file}: scores of epoch {epoch} are not finite, so the training diverged; "
                f"remove {file.parent}, lower training.learning_rate and train again"
            )


def _courses(
    predictions: EpochFile, test: LabelTable, validation: LabelTable | None
) -> dict[str, list[float]]:
    """mAP of every epoch on the test images, and on the known labels held out, if any are.

    NaN where it was not predicted (`training.eval_every`); the last epoch always is.
    """
    tables = {"test": ("logits", test), "validation": ("validation_logits", validation)}
    courses = {}
    for part, (name, table) in tables.items():
        if table is not None:
            course = [np.nan] * max(predictions.epochs)
            for epoch, scores in predictions.of(name).items():
                course[epoch - 1] = metrics.known_mean_ap(scores, table.labels)
            courses[part] = course
    return courses


def _histogram(training: EpochFile, observed: LabelTable, train: LabelTable) -> dict[str, NDArray]:
    """The counts and edges of the training logits; they stay where the logits do not."""
    if not training.is_whole:
        return {name: training.arrays[name] for name in ("counts", "edges")}
    counts, edges = score_counts(training.arrays["logits"], observed.labels, train.labels)
    return {"counts": counts, "edges": edges}


def judged_entries(observed: LabelTable, train: LabelTable, test: LabelTable) -> dict[str, Any]:
    """How many test labels, and how many labels unknown to training, have a ground truth."""
    hidden = train.labels[observed.labels == UNKNOWN]
    return {
        name: {"judged": int((labels != UNKNOWN).sum()), "all": int(labels.size)}
        for name, labels in (("test_entries", test.labels), ("hidden_entries", hidden))
    }


def epoch_lines(courses: Mapping[str, Course], quality: Mapping[str, Course]) -> list[dict]:
    """Per epoch, in per cent: mAP, and precision, recall and coverage of the pseudo-labels.

    Args:
        courses: see `selected_epochs`.
        quality: see `pseudo_quality`.
    """
    values = {f"{part}_mAP": course for part, course in courses.items()} | dict(quality)
    columns = {name: list(map(per_cent, course)) for name, course in values.items()}
    return [
        {"epoch": row + 1, **{name: column[row] for name, column in columns.items()}}
        for row in range(len(courses["test"]))
    ]
