"""`satl status`: how far an experiment is, on a terminal."""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satl.cli._options import add_command
from satl.core.errors import UserError

if TYPE_CHECKING:
    from satl.config import Experiment
    from satl.runs.progress import JobProgress, Progress

# By state: its sign, the sign where only ASCII can be printed, and its colour (ANSI).
SIGNS = {
    "done": ("✓", "+", "32"), "running": ("»", ">", "36;1"), "trained": ("○", "o", "36"),
    "stopped": ("‖", "=", "33"), "failed": ("✗", "x", "31;1"), "waiting": ("·", ".", "2"),
}  # fmt: skip
MEANINGS = {"trained": "trained, to be evaluated", "stopped": "stopped, will be resumed"}


def _status(commands: Any) -> None:
    text = "tell which runs of an experiment are done, running, waiting or failed, and why"
    parser = add_command(commands, "status", _run_status, text)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "results", type=Path, nargs="?", metavar="RESULTS_FOLDER",
        help="results/NAME (default: the experiment that was started last)",
    )  # fmt: skip
    where.add_argument(
        "--configfile", "--config", type=Path, metavar="FILE", dest="config",
        help="the experiment file (YAML)",
    )  # fmt: skip


def _run_status(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.runs.progress import progress_of

    if args.config:
        experiment = load(args.config)
        results = Path("results", experiment.name)
    else:
        results = args.results or _latest(Path("results"))
        experiment = load(results / "config.yaml")
    for line in status_lines(experiment, results, progress_of(experiment, results)):
        print(line)


def _latest(folder: Path) -> Path:
    configs = sorted(folder.glob("*/config.yaml"), key=lambda path: path.stat().st_mtime)
    if not configs:
        raise UserError(f"{folder}: no experiment has been started there; name a results folder")
    return configs[-1].parent


def status_lines(experiment: "Experiment", results: Path, progress: "Progress") -> list[str]:
    """What `satl status` prints."""
    counts = Counter(map(str, progress.states.values()))
    numbers = [f"{counts[state]} {state}" for state in SIGNS if counts[state] and state != "done"]
    done = f"{counts['done']} of {len(progress.states)} runs done"
    workflow = f"workflow: {progress.workflow}" if progress.workflow else "no workflow is running"
    lines = [f"{results}: {', '.join([done, *numbers])}; {workflow}", ""]
    for dataset in experiment.datasets:
        lines += [*_grid(experiment, dataset, progress.states), ""]
    lines.append("   ".join(f"{_sign(s)} {MEANINGS.get(s, s)}" for s in SIGNS if counts[s]))
    running = [job for job in progress.jobs if job.runs("running")]
    if running:
        lines += ["", "running", *(_running(job, experiment.training.epochs) for job in running)]
    failures = _failures(progress)
    return [*lines, "", "failed", *failures] if failures else lines


def _grid(experiment: "Experiment", dataset: str, states: dict[Any, Any]) -> list[str]:
    """A line per method, a column per known ratio or other setting, a sign per seed."""
    from satl.config import known_title

    signs: dict[tuple[str, Any], list[str]] = {}
    for key, state in states.items():
        if key.dataset == dataset:
            signs.setdefault((key.method, key.known_ratio), []).append(state)
    width = max(len(dataset), *map(len, experiment.trained))
    columns = {known: known_title(known) for known in experiment.known(dataset)}
    heads = "  ".join(f"{head:{_width(experiment, head)}}" for head in columns.values())
    lines = [f"{dataset:{width}}  {heads}".rstrip()]
    for method in experiment.trained:
        cells = "  ".join(
            # Coloured signs take no more room than plain ones, whatever their length.
            "".join(map(_sign, of_seeds)) + " " * (_width(experiment, head) - len(of_seeds))
            for known, head in columns.items()
            for of_seeds in [signs[method, known]]
        )
        lines.append(f"{method:{width}}  {cells}".rstrip())
    return lines


def _width(experiment: "Experiment", head: str) -> int:
    return max(5, len(experiment.seeds), len(head))


def _sign(state: str) -> str:
    sign, plain, colour = SIGNS[state]
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        sign = plain
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return f"\033[{colour}m{sign}\033[0m" if coloured else sign


def _running(job: "JobProgress", total: int) -> str:
    runs, first = job.runs("running"), job.job.runs[0]
    name = f"  {first.dataset} seed-{first.seed} {job.job.name}"
    if len(runs) > 1:
        name += f", {len(runs)} runs"
    if job.epochs is None:
        return f"{name}: starting"
    epoch = min(int(job.epochs) + 1, total)
    left = "" if job.seconds_left is None else f", about {_duration(job.seconds_left)} left"
    return f"{name}: epoch {epoch} of {total}, {job.epochs / total:.0%} trained{left}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    return f"{hours} h" if hours < 72 else f"{hours / 24:.1f} days"


def _failures(progress: "Progress") -> list[str]:
    """Each reason once, with the runs that it concerns and the log that says more."""
    by_reason: dict[str, list[tuple[str, Path | None]]] = {}
    for job in progress.jobs:
        for key, reason in job.reasons.items():
            by_reason.setdefault(reason, []).append((str(key.within(Path())), job.log))
    lines = []
    for reason, runs in by_reason.items():
        first, log = runs[0]
        more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
        lines += [f"  {first}{more}", *_indented(reason), f"    log: {log}"]
    for log, reason in progress.preparation_errors.items():
        lines += [f"  before training, {log}", *_indented(reason)]
    return lines


def _indented(reason: str) -> list[str]:
    return [f"    {line}" for line in reason.splitlines()[:4]]


COMMANDS = (_status,)
