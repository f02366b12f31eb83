"""Which runs an experiment has, and the names of the files they leave. Imports no array code."""

from dataclasses import dataclass
from pathlib import Path

from satl.config import Experiment, ratio_name

TRAIN_FILES = (
    "config.yaml", "metrics.jsonl", "thresholds.parquet",
    "predictions.npz", "training_scores.npz", "run.json",
)  # fmt: skip
EVALUATION_FILES = ("metrics.json", "score_histogram.parquet")


@dataclass(frozen=True, order=True)
class RunKey:
    """What tells the runs of one experiment apart; `method` is the name the config gives it."""

    dataset: str
    method: str
    known_ratio: float
    seed: int

    def folder(self, experiment: Path) -> Path:
        """Where this run lies in the results folder of its experiment."""
        return (
            Path(experiment, "runs", self.dataset, self.method)
            / f"known-{ratio_name(self.known_ratio)}"
            / f"seed-{self.seed}"
        )


def run_keys(experiment: Experiment) -> list[RunKey]:
    """Every run of an experiment, in the order in which its config names things."""
    return [
        RunKey(dataset, method, ratio, seed)
        for dataset in experiment.datasets
        for method in experiment.methods
        for ratio in experiment.known_ratios
        for seed in experiment.seeds
    ]
