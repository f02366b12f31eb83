"""The runs themselves: which there are, what made them, where their records lie."""

from pathlib import Path
from typing import Any

from satl.config import Experiment, ratio_name
from satl.report.blocks import selections
from satl.report.page.numbers import rounded
from satl.report.titles import commits
from satl.runs.evaluated import Run
from satl.runs.layout import training_jobs


def records(experiment: Experiment, runs: list[Run]) -> dict[str, list[Any]]:
    """A list per column, an entry per run, paths relative to the results folder."""
    logs = {
        key: job.log(Path(), "train").as_posix()
        for job in training_jobs(experiment)
        for key in job.runs
    }
    scores = {
        selection: rounded((run.metrics["selections"][selection]["mAP"] for run in runs), 2)
        for selection in selections(experiment)
    }
    return {
        "dataset": [run.key.dataset for run in runs],
        "method": [run.key.method for run in runs],
        "ratio": [ratio_name(run.key.known_ratio) for run in runs],
        "seed": [run.key.seed for run in runs],
        **scores,
        "seconds": rounded((run.record.get("seconds") for run in runs), 1),
        "device": [run.record.get("device") for run in runs],
        "finished": [run.record.get("finished") for run in runs],
        "commit": [commits([run]) for run in runs],
        "versions": [_versions(run) for run in runs],
        "folder": [run.key.folder(Path()).as_posix() for run in runs],
        "log": [logs[run.key] for run in runs],
    }


def _versions(run: Run) -> str:
    found = run.record.get("versions", {})
    return ", ".join(f"{name} {version}" for name, version in found.items() if version)
