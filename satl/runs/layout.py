"""Which runs an experiment has, and the names of the files they leave. Imports no array code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satl.config import Experiment, ratio_name

TRAIN_FILES = (
    "config.yaml", "metrics.jsonl", "thresholds.parquet",
    "predictions.npz", "training_scores.npz", "run.json",
)  # fmt: skip
EVALUATION_FILES = ("metrics.json", "score_histogram.parquet", "bootstrap.npz")


@dataclass(frozen=True, order=True)
class RunKey:
    """What tells the runs of one experiment apart; `method` is the name the config gives it."""

    dataset: str
    method: str
    known_ratio: float
    seed: int

    def within(self, folder: Path) -> Path:
        """DATASET/METHOD/known-RATIO/seed-SEED below `folder`."""
        ratio = f"known-{ratio_name(self.known_ratio)}"
        return Path(folder, self.dataset, self.method, ratio, f"seed-{self.seed}")

    def folder(self, experiment: Path) -> Path:
        """Where this run lies in the results folder of its experiment."""
        return self.within(Path(experiment, "runs"))


@dataclass(frozen=True)
class TrainingJob:
    """Runs that one job trains side by side: of one data set and one seed."""

    runs: tuple[RunKey, ...]

    @property
    def name(self) -> str:
        """The first run, and how many more there are: satl-known-0.10+8."""
        first, more = self.runs[0], len(self.runs) - 1
        name = f"{first.method}-known-{ratio_name(first.known_ratio)}"
        return f"{name}+{more}" if more else name

    def folder(self, experiment: Path) -> Path:
        """Where this job writes its runs, each to METHOD/known-RATIO."""
        first = self.runs[0]
        return Path(experiment, "training", first.dataset, f"seed-{first.seed}", self.name)

    def run_folder(self, experiment: Path, run: RunKey) -> Path:
        """Where this job writes one of its runs."""
        return self.folder(experiment) / run.method / f"known-{ratio_name(run.known_ratio)}"

    def log(self, experiment: Path, step: str) -> Path:
        """Where `step` (train, evaluate) of this job writes what it says."""
        first = self.runs[0]
        return Path(
            experiment, "logs", step, first.dataset, f"seed-{first.seed}", f"{self.name}.log"
        )


def training_jobs(experiment: Experiment) -> list[TrainingJob]:
    """All runs, up to `runs_per_job` per job: ratios of one method, or several whole methods."""
    ratios, methods = experiment.known_ratios, list(experiment.trained)
    if experiment.runs_per_job < len(ratios):
        parts = [[(method, r) for r in part] for method in methods
                 for part in _evenly(ratios, experiment.runs_per_job)]  # fmt: skip
    else:
        together = _evenly(methods, experiment.runs_per_job // len(ratios))
        parts = [[(method, r) for method in part for r in ratios] for part in together]
    return [
        TrainingJob(tuple(RunKey(dataset, method, ratio, seed) for method, ratio in part))
        for dataset in experiment.datasets
        for seed in experiment.seeds
        for part in parts
    ]


def _evenly(items: list[Any], most: int) -> list[list[Any]]:
    """`items` in as few parts of at most `most` as can be, nearly equal in length."""
    count = -(-len(items) // most)
    ends = [len(items) * (i + 1) // count for i in range(count)]
    return [items[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def run_keys(experiment: Experiment) -> list[RunKey]:
    """Every run of an experiment, in the order in which its config names things."""
    return [
        RunKey(dataset, method, ratio, seed)
        for dataset in experiment.datasets
        for method in experiment.trained
        for ratio in experiment.known_ratios
        for seed in experiment.seeds
    ]
