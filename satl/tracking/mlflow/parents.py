"""One entry per method and seed: its metric `mAP` is the curve over the known ratios."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from satl.config import Experiment
from satl.core.locks import holder
from satl.runs.layout import RunKey
from satl.tracking.mlflow.entries import FINISHED, KILLED, RUNNING, Entry, Point
from satl.tracking.mlflow.runs import method_params, method_tags, parent_name


@dataclass(frozen=True)
class Child:
    """A run as its parent sees it; `score` is the mAP once it is trained, in per cent."""

    entry: Entry
    score: float | None


def parent_entry(
    experiment: Experiment, results: Path, keys: Sequence[RunKey], children: Mapping[RunKey, Child]
) -> Entry:
    """The runs of one method and seed as one.

    MLflow draws a metric by its step: the step of `mAP` is the known ratio in per cent. A setting
    of `observe`, which is no number, is a metric of its own, `mAP/NAME`. `mAP_average` is the
    mean over the known ratios, once all are there.

    Args:
        experiment: the experiment.
        results: its folder, results/NAME.
        keys: the runs that there will be.
        children: those that there are.
    """
    there = [children[key] for key in keys if key in children]
    complete = len(there) == len(keys) and all(child.entry.complete for child in there)
    started = [child.entry.started for child in there if child.entry.started]
    ended = [child.entry.ended for child in there if child.entry.ended]
    return Entry(
        parent_name(keys[0]),
        "parent",
        status=_status(results, complete, there),
        complete=complete,
        tags={**method_tags(experiment, keys[0]), "run_folder": str(keys[0].folder(results))},
        params=method_params(experiment, keys[0]),
        points=_curve(keys, children),
        datasets={file: mask for child in there for file, mask in child.entry.datasets.items()},
        started=min(started, default=None),
        ended=max(ended, default=None),
    )


def _status(results: Path, complete: bool, children: Iterable[Child]) -> str:
    if complete:
        return FINISHED
    trains = any(child.entry.status == RUNNING for child in children)
    return RUNNING if trains or holder(results / ".lock") else KILLED


def _curve(keys: Sequence[RunKey], children: Mapping[RunKey, Child]) -> list[Point]:
    scores = {
        key: child.score for key in keys if (child := children.get(key)) and child.score is not None
    }
    times = {key: children[key].entry.ended or 0 for key in scores}
    curve = [
        Point(f"mAP/{key.known_ratio}", 0, score, times[key])
        if isinstance(key.known_ratio, str)
        else Point("mAP", round(100 * key.known_ratio), score, times[key])
        for key, score in scores.items()
    ]
    ratios = [key for key in keys if not isinstance(key.known_ratio, str)]
    if ratios and all(key in scores for key in ratios):
        average = fmean(scores[key] for key in ratios)
        curve.append(Point("mAP_average", 0, average, max(times.values())))
    return curve
