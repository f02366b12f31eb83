"""What a run has recorded of the epochs that it has finished."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from satl.core.files import write_arrays
from satl.runs.folder import THRESHOLD_COLUMNS
from satl.runs.trainings import THRESHOLDS, epoch_file


class History:
    """Metrics and thresholds of the finished epochs, and their arrays as one file per epoch.

    The files tell of metrics and thresholds, too, for those who watch (satl.runs.trainings).

    Args:
        categories: C names, for the rows of thresholds.
        folder: of the epoch files, which lie beside the run's checkpoint.
    """

    def __init__(self, categories: tuple[str, ...], folder: Path) -> None:
        self.categories, self.folder = categories, folder
        self.metrics: list[dict[str, Any]] = []
        self.thresholds: list[pd.DataFrame] = []
        self.unwritten: dict[int, dict[str, np.ndarray]] = {}  # by epoch, from 1

    def add(
        self,
        metrics: dict[str, Any],
        thresholds: dict[str, Tensor],
        arrays: dict[str, np.ndarray],
    ) -> None:
        """Take up a finished epoch; nothing is written before `write`.

        Args:
            metrics: one line of metrics.jsonl, with its `epoch`, from 1.
            thresholds: (C,) values per column of thresholds.parquet.
            arrays: pseudo_labels, train_logits and, of epochs with an evaluation,
                predicted_logits.
        """
        rows = self._rows(metrics["epoch"], thresholds)
        self.metrics.append(metrics)
        self.thresholds.append(rows)
        self.unwritten[metrics["epoch"]] = {
            **arrays,
            "metrics": np.array(json.dumps(metrics)),
            **{name: rows[name].to_numpy() for name in THRESHOLDS},
        }

    def _rows(self, epoch: int, thresholds: dict[str, Tensor]) -> pd.DataFrame:
        values = {name: value.detach().cpu().numpy() for name, value in thresholds.items()}
        rows = pd.DataFrame(values, columns=THRESHOLD_COLUMNS, dtype="float64")
        rows = rows.reindex(range(len(self.categories)))
        rows["epoch"] = epoch
        rows["category"] = list(self.categories)
        return rows

    def write(self) -> None:
        """Write the epoch files that are not written yet. Raises UserError, keeping the arrays."""
        for epoch in list(self.unwritten):
            write_arrays(epoch_file(self.folder, epoch), **self.unwritten[epoch])
            del self.unwritten[epoch]

    def arrays(self) -> dict[int, dict[str, np.ndarray]]:
        """Those given to `add`, of every finished epoch, by its number, from 1."""
        return {line["epoch"]: self.of_epoch(line["epoch"]) for line in self.metrics}

    def of_epoch(self, epoch: int) -> dict[str, np.ndarray]:
        """Those of one finished epoch, from 1."""
        if epoch in self.unwritten:
            return self.unwritten[epoch]
        with np.load(epoch_file(self.folder, epoch)) as file:
            return dict(file)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps; the arrays stay in the epoch files."""
        rows = [rows.to_dict("list") for rows in self.thresholds]
        return {"metrics": self.metrics, "thresholds": rows}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what `state` gave."""
        self.metrics = state["metrics"]
        self.thresholds = [pd.DataFrame(rows) for rows in state["thresholds"]]
        self.unwritten = {}
