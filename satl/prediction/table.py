"""Predictions as a CSV file, in the layout of the data format `csv` with scores beside it."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satl.core.errors import UserError
from satl.core.files import writing
from satl.metrics import probabilities
from satl.prediction.predictor import Prediction
from satl.training.model_file import ModelFacts


def write_predictions(
    path: Path, facts: ModelFacts, predictions: Iterable[Prediction]
) -> list[Prediction]:
    """Write a row per readable image; returns the unreadable ones.

    Columns are `image`, a column per category (1: decided to be present, 0: not), and the scores
    behind these decisions, `CATEGORY score`, as probabilities.

    Raises:
        UserError: no image is readable, or the file cannot be written; nothing is written then.
    """
    unreadable, rows = [], 0
    image = "image" if "image" not in facts.categories else "image file"
    scores = [f"{name} score" for name in facts.categories]
    with writing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([image, *facts.categories, *scores])
        for prediction in predictions:
            if prediction.logits is None:
                unreadable.append(prediction)
                continue
            present = decided(facts, prediction.logits).astype(int).tolist()
            values = [f"{score:.6g}" for score in probabilities(prediction.logits)]
            table.writerow([prediction.file, *present, *values])
            rows += 1
        if not rows:
            why = "\n".join(f"  {one.file}: {one.unreadable}" for one in unreadable)
            raise UserError(f"{path}: not written, as no image can be read:\n{why}")
    return unreadable


def decided(facts: ModelFacts, logits: NDArray) -> NDArray[np.bool_]:
    """(…, C) logits: which categories are present, by the model's thresholds."""
    return logits >= np.array(facts.thresholds)
