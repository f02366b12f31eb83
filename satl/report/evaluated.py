"""The evaluated runs of an experiment: what every table, figure and MLflow run is made of."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satl.config import SPEED_ONLY, Experiment
from satl.core.errors import UserError
from satl.runs.folder import RunFolder, RunKey, run_keys

# Two runs that differ in these alone belong to the same experiment; the latter two change no
# more than the rounding.
MAY_DIFFER = {f"training.{key}" for key in (*SPEED_ONLY, "threads", "eval_batch_size")}


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
    return [_read(experiment, key, folder) for key, folder in folders if folder.is_evaluated()]


def commits(runs: list[Run]) -> str:
    """The commits that the runs were made at, shortened, as tables and figures name them."""
    found = {str(run.record["commit"] or "unknown") for run in runs}
    return ", ".join(sorted(re.sub("^([0-9a-f]{10})[0-9a-f]{30}", r"\1", name) for name in found))


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys: {'a': {'b': 1}} -> {'a.b': 1}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _read(experiment: Experiment, key: RunKey, folder: RunFolder) -> Run:
    config = folder.config()
    _check_belongs(experiment, key, folder.path, config)
    return Run(key, folder, config, folder.run(), folder.metrics())


def _check_belongs(experiment: Experiment, key: RunKey, path: Path, config: Any) -> None:
    """Raise UserError where the run was made with other settings than `experiment` asks for."""
    entry = experiment.methods[key.method]
    expected = flatten({
        "dataset": key.dataset,
        "method": key.method,
        "method_class": entry.method,
        "known_ratio": key.known_ratio,
        "seed": key.seed,
        "options": entry.options,
        "training": experiment.training.model_dump(mode="json"),
        "model": experiment.model.model_dump(mode="json"),
    })  # fmt: skip
    found = flatten(config)
    for name, value in expected.items():
        if name not in MAY_DIFFER and not _same(value, found.get(name)):
            raise UserError(
                f"{path}: a results folder of another config: {name} is {found.get(name)!r} "
                f"there and {value!r} in this experiment. Remove the folder, or give this "
                f"experiment another `name`."
            )


def _same(expected: Any, found: Any) -> bool:
    """Equal, also where YAML read a number such as 1e-5 as text."""
    if isinstance(expected, str) and isinstance(found, float):
        try:
            return float(expected) == found
        except ValueError:
            return False
    return expected == found
