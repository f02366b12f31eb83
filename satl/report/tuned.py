"""What tuning makes of each method: of its options as given and its trials, the best run.

A trial is a run like any other. For each data set, method, known ratio and seed one of them is
chosen, by the mAP of its last epoch on the known labels of the images held out, as somebody can
choose who has no other labels; so a deviation over seeds has the luck of the search in it. What
the ground truth would have chosen stands beside it, to show how much the search leaves behind.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pandas as pd

from satl.config import Experiment, Shown, ratio_name
from satl.config.methods import OWN_TRAINING
from satl.config.shown import TUNED
from satl.runs.evaluated import Run
from satl.runs.folder import RunKey

Criterion = Callable[[Run], float]

ORACLE = "oracle"


def by_held_out(run: Run) -> float:
    """Last-epoch mAP on the known labels of the images held out; none: the worst."""
    return _last(run, "validation_mAP")


def by_test(run: Run) -> float:
    """Last-epoch mAP on the test images: a look at the ground truth."""
    return _last(run, "test_mAP")


def _last(run: Run, name: str) -> float:
    value = run.metrics["epochs"][-1][name]
    return float("-inf") if value is None else float(value)


def tuned_runs(experiment: Experiment, runs: Iterable[Run], criterion: Criterion) -> list[Run]:
    """The best of each method's options as given and its trials, under the method's own name.

    Args:
        experiment: with `tune`.
        runs: evaluated; those of trials that are not there are not chosen.
        criterion: the higher the better; of equal ones, the first in the config's order.
    """
    return [
        replace(max(candidates, key=criterion), key=key)
        for key, candidates in _candidates(experiment, runs).items()
    ]


def runs_of_table(experiment: Experiment, shown: Shown, runs: list[Run]) -> list[Run]:
    """What a table shows of the evaluated `runs` of its data set."""
    known = [run for run in runs if run.key.known_ratio in shown.known]
    if shown.group == TUNED:
        return tuned_runs(experiment, known, by_held_out)
    return [run for run in known if run.key.method in shown.methods]


def _candidates(experiment: Experiment, runs: Iterable[Run]) -> dict[RunKey, list[Run]]:
    groups: dict[RunKey, list[Run]] = {}
    for run in runs:
        key = replace(run.key, method=experiment.tuned_method(run.key.method))
        groups.setdefault(key, []).append(run)
    return groups


def chosen_options(experiment: Experiment, runs: list[Run]) -> pd.DataFrame:
    """What was chosen: one row per data set, method, known ratio, seed and criterion.

    Columns dataset, method, known_ratio, seed, chosen_by, run, learning_rate, weight_decay,
    options, validation_mAP, test_mAP.
    """
    criteria = {TUNED: by_held_out, ORACLE: by_test}
    rows = []
    for key, candidates in _candidates(experiment, runs).items():
        for name, criterion in criteria.items():
            best = max(candidates, key=criterion)
            rows.append(
                {
                    "dataset": key.dataset,
                    "method": key.method,
                    "known_ratio": ratio_name(key.known_ratio),
                    "seed": key.seed,
                    "chosen_by": name,
                    "run": best.key.method,
                    **_trained_with(experiment, best),
                    "validation_mAP": by_held_out(best),
                    "test_mAP": by_test(best),
                }
            )
    return pd.DataFrame(rows)


def candidates(experiment: Experiment, runs: list[Run]) -> pd.DataFrame:
    """How each candidate does on average: what one setting for all known ratios is chosen by.

    Method by method, columns dataset, method, candidate, learning_rate, weight_decay, options,
    runs (how many there are), and the means over them of validation_mAP and test_mAP: comparable
    where `runs` is equal.
    """
    methods = list(experiment.methods)
    by_method = sorted(runs, key=lambda run: methods.index(experiment.tuned_method(run.key.method)))
    rows = pd.DataFrame(
        {
            "dataset": run.key.dataset,
            "method": experiment.tuned_method(run.key.method),
            "candidate": run.key.method,
            **_trained_with(experiment, run),
            "validation_mAP": by_held_out(run),
            "test_mAP": by_test(run),
        }
        for run in by_method
    )
    *same, _, _ = rows.columns
    means = {"runs": "sum", "validation_mAP": "mean", "test_mAP": "mean"}
    return rows.assign(runs=1).groupby(same, sort=False).agg(means).round(4).reset_index()


def _trained_with(experiment: Experiment, run: Run) -> dict[str, Any]:
    own = {key: run.config["training"][key] for key in OWN_TRAINING}
    return own | {"options": _drawn(experiment, run)}


def _drawn(experiment: Experiment, run: Run) -> str:
    """The options of the run that the config names or a trial drew, as `name=value …`."""
    options = experiment.trained[run.key.method].options
    return " ".join(f"{name}={value}" for name, value in options.items())
