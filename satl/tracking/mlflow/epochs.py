"""The epochs of a training, compared with the ground truth as they come."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from satl import metrics
from satl.data.table import LabelTable
from satl.runs.folder import RunFolder
from satl.runs.trainings import THRESHOLDS, epoch_files, is_finished
from satl.tracking.mlflow.entries import Point, points
from satl.tracking.mlflow.runs import threshold_values


class EpochReader:
    """Reads what trainings have left of their epochs, each epoch once.

    The labels of the test images are read here, as in `satl evaluate`; training does not see
    them, and is told nothing.

    Args:
        results: the folder of the experiment, results/NAME.
    """

    def __init__(self, results: Path) -> None:
        self.results = results
        self._read: dict[Path, dict[int, list[Point]]] = {}  # by training and epoch
        self._tests: dict[str, LabelTable] = {}

    def read(self, dataset: str, training: Path) -> list[Point]:
        """Metrics, thresholds and test mAP of every epoch that `training` has saved.

        Raises:
            FileNotFoundError: the training has been finished meanwhile; read again.
            UserError: a file is damaged.
        """
        known = self._read.setdefault(training, {})
        of_epochs = self._finished if is_finished(training) else self._saved
        for line, thresholds, logits, time in of_epochs(training, set(known)):
            values = {name: value for name, value in line.items() if name != "epoch"}
            values |= threshold_values(thresholds) | self._score(dataset, logits)
            known[line["epoch"]] = [*points(values, line["epoch"], time)]
        return [point for epoch in sorted(known) for point in known[epoch]]

    def _saved(self, training: Path, known: set[int]) -> Iterator[tuple]:
        """Line, thresholds, predicted logits and time of each epoch that is not `known`."""
        for epoch, file in epoch_files(training / "checkpoint").items():
            if epoch in known:
                continue
            with np.load(file) as arrays:
                if "metrics" in arrays:  # else it was saved before there were followers
                    thresholds = pd.DataFrame({name: arrays[name] for name in THRESHOLDS})
                    line = json.loads(str(arrays["metrics"]))
                    yield line, thresholds, arrays.get("predicted_logits"), _time(file)

    def _finished(self, training: Path, known: set[int]) -> Iterator[tuple]:
        folder = RunFolder(training)
        lines = folder.epoch_lines()
        new = [line for line in lines if line["epoch"] not in known]
        if not new:
            return
        thresholds, predictions = folder.thresholds(), folder.predictions()
        # Of every epoch that was predicted, until `satl evaluate` keeps those that are selected.
        epochs = predictions.get("epochs", np.array([line["epoch"] for line in lines]))
        logits = dict(zip(epochs.tolist(), predictions["logits"], strict=True))
        for line in new:
            rows = thresholds[thresholds["epoch"] == line["epoch"]]
            yield line, rows, logits.get(line["epoch"]), _time(training / "run.json")

    def _score(self, dataset: str, logits: np.ndarray | None) -> dict[str, Any]:
        """The test mAP in per cent, of (N, C) logits whose last rows are the test images."""
        file = self.results / "data" / dataset / "test.npz"
        if logits is None or not (dataset in self._tests or file.is_file()):
            return {}
        if dataset not in self._tests:
            self._tests[dataset] = LabelTable.load(file)
        labels = self._tests[dataset].labels
        score = metrics.known_mean_ap(logits[-len(labels) :], labels)
        return {"test_mAP": round(100 * score, 6)}


def _time(file: Path) -> int:
    return int(1000 * file.stat().st_mtime)
