"""The evaluated runs of an experiment: what every table, figure and MLflow run is made of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satl.config import Experiment
from satl.core.errors import UserError
from satl.runs.fingerprint import Fingerprint, asked_settings, differences
from satl.runs.folder import RunFolder, RunKey, run_keys


@dataclass(frozen=True)
class Run:
    """One evaluated run folder, with its small files read."""

    key: RunKey
    folder: RunFolder
    config: dict[str, Any]
    record: dict[str, Any]
    metrics: dict[str, Any]


def evaluated_runs(experiment: Experiment, results: Path) -> list[Run]:
    """The runs of `experiment` that are evaluated, in config order.

    Args:
        experiment: the experiment.
        results: its folder, results/NAME.

    Raises:
        UserError: a run folder is of another config, or a file in it is missing or damaged.
    """
    folders = [(key, RunFolder(key.folder(results))) for key in run_keys(experiment)]
    return [read_run(experiment, key, folder) for key, folder in folders if folder.is_evaluated()]


def read_run(experiment: Experiment, key: RunKey, folder: RunFolder) -> Run:
    """One evaluated run. Raises UserError as `evaluated_runs`."""
    record = folder.run()
    _check_belongs(experiment, key, folder.path, record.get("fingerprint", {}))
    return Run(key, folder, folder.config(), record, folder.metrics())


def has_truth(run: Run) -> bool:
    """Whether any label that is unknown to training has a ground truth, or none is unknown."""
    hidden = run.metrics.get("hidden_entries", {"judged": 0, "all": 0})
    return bool(hidden["judged"]) or not hidden["all"]


def _check_belongs(experiment: Experiment, key: RunKey, path: Path, recorded: Fingerprint) -> None:
    """Raise UserError where the run was made with other settings than `experiment` asks for."""
    different = differences(recorded, asked_settings(experiment, key))
    if different:
        raise UserError(
            f"{path}: made with other settings than this experiment's: {different[0]}. Run the "
            "workflow to make it again, or give this experiment another `name`."
        )
