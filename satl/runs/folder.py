"""The run folder: what a training run leaves behind, and all that reports may read.

Written by `satl train`:
    config.yaml           what was run: data set, method and options, known ratio, seed, protocol
    metrics.jsonl         one line per epoch: losses, learning rate, seconds, pseudo-label counts
    thresholds.parquet    per epoch and category: thresholds and score statistics (logits)
    predictions.npz       test logits of every epoch that is evaluated (training.eval_every), its
                          `epochs`, (E, N_test, C) float32; where images are held out,
                          `validation_logits` of theirs
    training_scores.npz   pseudo-labels of every epoch, (E, N_train, C) int8, and the training
                          logits of the last epoch, (N_train, C) float32
                          (once evaluated, both hold the selected `epochs` alone, and no training
                          logits: see `satl.evaluation.epoch_file`)
    run.json              versions, commit, device, timings, hashes
    model.safetensors     with training.keep_weights: the network and all that it takes to use it
Added by `satl evaluate`, which alone reads the ground truth:
    metrics.json          test metrics by epoch and by selection, quality of the pseudo-labels
    score_histogram.parquet   training logits of the last epoch, binned by category and label
    bootstrap.npz         mAP of the last epoch under resampled test images
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from satl.core.errors import UserError
from satl.core.files import existing, read_arrays, read_yaml
from satl.runs.layout import EVALUATION_FILES, TRAIN_FILES, RunKey, run_keys

__all__ = [
    "EVALUATION_FILES", "SELECTIONS", "THRESHOLD_COLUMNS", "TRAIN_FILES",
    "RunFolder", "RunKey", "run_keys",
]  # fmt: skip

# Which epoch counts; best_on_validation only where images are held out.
SELECTIONS = ("last", "best_on_validation", "best_on_test")
THRESHOLD_COLUMNS = (
    "epoch", "category", "tau_pos", "tau_neg",
    "mu_pos", "sigma_pos", "n_pos", "mu_neg", "sigma_neg", "n_neg",
)  # fmt: skip


class RunFolder:
    """Read access to one run folder; each method reads one file, errors name it."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def is_evaluated(self) -> bool:
        """Whether the run has been trained and evaluated."""
        return (self.path / "metrics.json").is_file()

    def config(self) -> dict[str, Any]:
        """What was run, with all defaults resolved."""
        return read_yaml(self.path / "config.yaml")

    def run(self) -> dict[str, Any]:
        """Versions, commit, device, timings, hashes."""
        return self._json("run.json")

    def metrics(self) -> dict[str, Any]:
        """Test metrics and quality of pseudo-labels, in per cent; null where not defined."""
        return self._json("metrics.json")

    def epochs(self) -> pd.DataFrame:
        """One row per epoch, from metrics.jsonl."""
        return pd.read_json(existing(self.path / "metrics.jsonl"), lines=True)

    def epoch_lines(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl to the last digit, which Pandas does not keep."""
        text = existing(self.path / "metrics.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def thresholds(self) -> pd.DataFrame:
        """Columns as THRESHOLD_COLUMNS; in logits; NaN where the method has no such value."""
        return pd.read_parquet(existing(self.path / "thresholds.parquet"))

    def score_histogram(self) -> pd.DataFrame:
        """Columns category, label, left, right, count; see `satl.evaluation.evaluate`."""
        return pd.read_parquet(existing(self.path / "score_histogram.parquet"))

    def resampled_map(self) -> np.ndarray | None:
        """(R,) last-epoch mAP under resampled test images, per cent; None if not evaluated so."""
        if not (self.path / "bootstrap.npz").is_file():
            return None
        return self._arrays("bootstrap.npz")["mAP"]

    def predictions(self) -> dict[str, np.ndarray]:
        """Arrays logits (E, N_test, C), epochs (E,), image_ids, categories; see above."""
        return self._arrays("predictions.npz")

    def training_scores(self) -> dict[str, np.ndarray]:
        """Arrays pseudo_labels (E, N_train, C), epochs (E,), image_ids, categories; see above."""
        return self._arrays("training_scores.npz")

    def _json(self, name: str) -> dict[str, Any]:
        path = existing(self.path / name)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise UserError(f"{path}: not valid JSON ({error}); run this step again") from error

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        return read_arrays(self.path / name, "run record")
