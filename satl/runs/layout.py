"""Which runs an experiment has, and the names of the files they leave. Imports no array code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satl.config import Experiment, Known, ratio_name

TRAIN_FILES = (
    "config.yaml", "metrics.jsonl", "thresholds.parquet",
    "predictions.npz", "training_scores.npz", "run.json",
)  # fmt: skip
MODEL_FILE = "model.safetensors"  # beside them, with training.keep_weights
EVALUATION_FILES = ("metrics.json", "score_histogram.parquet", "bootstrap.npz")

# Parts of paths, formatted here and nowhere else; to the workflow they are patterns.
KNOWN_PART = "known-{ratio}"
SEED_PART = "seed-{seed}"
JOB_PATH = f"{{dataset}}/{SEED_PART}/{{job}}"


def trained_files(folder: Path) -> list[str]:
    """The names of what training has left in `folder`: TRAIN_FILES, and weights if it kept any."""
    kept = [MODEL_FILE] if Path(folder, MODEL_FILE).is_file() else []
    return [*TRAIN_FILES, *kept]


@dataclass(frozen=True, order=True)
class RunKey:
    """What tells the runs of one experiment apart; `method` is the name the config gives it.

    `known_ratio` is the name of an entry of `observe` where labels are not known at random.
    """

    dataset: str
    method: str
    known_ratio: Known
    seed: int

    @property
    def known_part(self) -> str:
        """What paths and people call the known ratio: known-0.10."""
        return KNOWN_PART.format(ratio=ratio_name(self.known_ratio))

    @property
    def seed_part(self) -> str:
        """What paths and people call the seed: seed-0."""
        return SEED_PART.format(seed=self.seed)

    def within(self, folder: Path) -> Path:
        """DATASET/METHOD/known-RATIO/seed-SEED below `folder`."""
        return Path(folder, self.dataset, self.method, self.known_part, self.seed_part)

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
        name = f"{first.method}-{first.known_part}"
        return f"{name}+{more}" if more else name

    @property
    def path(self) -> Path:
        """DATASET/seed-SEED/NAME, below the folders of trainings and of logs."""
        first = self.runs[0]
        return Path(JOB_PATH.format(dataset=first.dataset, seed=first.seed, job=self.name))

    def folder(self, experiment: Path) -> Path:
        """Where this job writes its runs, each to METHOD/known-RATIO."""
        return Path(experiment, "training", self.path)

    def run_folder(self, experiment: Path, run: RunKey) -> Path:
        """Where this job writes one of its runs."""
        return self.folder(experiment) / run.method / run.known_part

    def log(self, experiment: Path, step: str) -> Path:
        """Where `step` (train, evaluate) of this job writes what it says."""
        return Path(experiment, "logs", step, f"{self.path}.log")


def training_jobs(experiment: Experiment) -> list[TrainingJob]:
    """All runs, up to `runs_per_job` per job: ratios of one method, or several whole methods."""
    return [
        TrainingJob(tuple(RunKey(dataset, method, ratio, seed) for method, ratio in part))
        for dataset in experiment.datasets
        for seed in experiment.seeds
        for part in _parts(experiment, experiment.known(dataset))
    ]


def _parts(experiment: Experiment, ratios: list[Known]) -> list[list[tuple[str, Known]]]:
    """Methods and known ratios of each job, for one data set and seed."""
    methods, most = list(experiment.trained), experiment.runs_per_job
    if most < len(ratios):
        return [[(m, r) for r in part] for m in methods for part in _evenly(ratios, most)]
    together = _evenly(methods, most // len(ratios))
    return [[(m, r) for m in part for r in ratios] for part in together]


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
        for ratio in experiment.known(dataset)
        for seed in experiment.seeds
    ]
