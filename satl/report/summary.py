"""summary.csv: the test metrics of every run, one row per run and selection."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from satl.config import Experiment, ratio_name
from satl.core.files import write_text
from satl.metrics import METRIC_COLUMNS
from satl.runs.evaluated import Run, evaluated_runs
from satl.runs.folder import SELECTIONS

RUN_COLUMNS = ("dataset", "method", "known_ratio", "seed", "selection")
SUMMARY_COLUMNS = (*RUN_COLUMNS, *METRIC_COLUMNS)


def summarise(experiment: Experiment, results: Path) -> pd.DataFrame:
    """One row per run and selection, in config order, columns SUMMARY_COLUMNS, per cent.

    `results` is the folder of the experiment, results/NAME. Runs that are not evaluated yet are
    absent; a metric without a value is NaN.

    Raises:
        UserError: a run folder is of another config, or is damaged.
    """
    return summary_of(evaluated_runs(experiment, results))


def summary_of(runs: list[Run]) -> pd.DataFrame:
    """The summary of runs that are read already; see `summarise`."""
    rows = [
        asdict(run.key) | {"selection": selection} | run.metrics["selections"][selection]
        for run in runs
        for selection in SELECTIONS
        if selection in run.metrics["selections"]
    ]
    table = pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))
    return table.astype(dict.fromkeys(METRIC_COLUMNS, float))


def pseudo_label_summary(runs: list[Run], measure: str) -> pd.DataFrame:
    """One measure of pseudo-labels (`metrics.json`, epochs) in rows as of `summary_of`."""
    rows = []
    for run in runs:
        by_epoch = {line["epoch"]: line.get(measure) for line in run.metrics["epochs"]}
        for selection, chosen in run.metrics["selections"].items():
            value = by_epoch[chosen["epoch"]]
            rows.append(asdict(run.key) | {"selection": selection, measure: value})
    table = pd.DataFrame(rows, columns=[*RUN_COLUMNS, measure])
    return table.astype({measure: float})


def write_summary(table: pd.DataFrame, path: Path) -> None:
    """Write `table` (of `summarise`) as CSV with four decimals; no value is an empty field."""
    shown = table.assign(known_ratio=table["known_ratio"].map(ratio_name))
    write_text(path, shown.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
