"""`satl evaluate`, `report` and `track`: from run folders to what people read."""

import argparse
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from satl.cli._options import add_command, config_option, path_option, results_option
from satl.core.errors import UserError


def _evaluate(commands: Any) -> None:
    text = "compare runs with the ground truth"
    parser = add_command(commands, "evaluate", _run_evaluate, text)
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="run folders, from `satl train`"
    )
    parser.add_argument(
        "--observed", type=Path, nargs="+", required=True, metavar="PATH",
        help="the partially labelled tables they were trained on, one per run",
    )  # fmt: skip
    parser.add_argument(
        "--validation", type=Path, nargs="+", metavar="PATH",
        help="the partially labelled tables of the images held out of training, one per run",
    )  # fmt: skip
    path_option(parser, "--train", "fully labelled training table")
    path_option(parser, "--test", "fully labelled test table")
    parser.add_argument(
        "--out", type=Path, nargs="+", metavar="PATH",
        help="the complete run folders, one per run (default: the run folders themselves)",
    )  # fmt: skip
    parser.add_argument(
        "--resamples", type=int, default=1000, help="of the test images (default: 1000)"
    )
    parser.add_argument(
        "--keep", choices=("selected", "all"), default="selected",
        help="scores of which epochs stay in the run folders: the selected ones (last, best; the "
        "default), or all, which takes many times the space",
    )  # fmt: skip


def _run_evaluate(args: argparse.Namespace) -> None:
    from satl.data.table import LabelTable
    from satl.evaluation.evaluate import evaluate

    folders = args.out or args.runs
    for name, paths in (
        ("--observed", args.observed), ("--validation", args.validation or args.runs),
        ("--out", folders),
    ):  # fmt: skip
        if len(paths) != len(args.runs):
            raise UserError(f"{name} names {len(paths)} paths for {len(args.runs)} runs")
    train, test = LabelTable.load(args.train), LabelTable.load(args.test)
    held_out = args.validation or [None] * len(args.runs)
    for run, observed, out, path in zip(args.runs, args.observed, folders, held_out, strict=True):
        validation = path and LabelTable.load(path)
        evaluate(
            run, LabelTable.load(observed), train, test, out, args.resamples, validation, args.keep
        )


def _report(commands: Any) -> None:
    text = "write summary.csv, tables, figures and the page index.html of the finished runs"
    parser = add_command(commands, "report", _run_report, text)
    config_option(parser)
    results_option(parser)


def _run_report(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.report import write_report

    experiment = load(args.config)
    write_report(experiment, args.results / experiment.name)


def _track(commands: Any) -> None:
    text = "log the run folders, tables and figures to an experiment tracker"
    parser = add_command(commands, "track", _run_track, text)
    config_option(parser)
    results_option(parser)
    parser.add_argument("--to", default="mlflow", metavar="TRACKER", help="default: mlflow")
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="where the tracker keeps runs (MLflow: MLFLOW_TRACKING_URI, else RESULTS/mlflow.db)",
    )


def _run_track(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.tracking import tracker

    track = tracker(args.to)
    experiment = load(args.config)
    print(json.dumps(track(experiment, args.results / experiment.name, args.tracking_uri)))


def _watch(commands: Any) -> None:
    text = "show runs in MLflow while they train; Ctrl-C ends it, which harms nothing"
    parser = add_command(commands, "watch", _run_watch, text)
    config_option(parser)
    results_option(parser)
    _store_option(parser)
    parser.add_argument(
        "--while-workflow", action="store_true", help="end when the experiment's workflow has ended"
    )


def _run_watch(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.runs.trainings import wait_for_training

    os.nice(10)  # training goes first
    experiment = load(args.config)
    results = args.results / experiment.name
    with suppress(KeyboardInterrupt):
        if args.while_workflow and not wait_for_training(results):
            return  # there was nothing to follow, and `satl track` logs the rest
        from satl.tracking.mlflow import follow  # takes seconds

        follow(experiment, results, args.tracking_uri, args.while_workflow)


def _links(commands: Any) -> None:
    text = "print where MLflow's UI shows the curves and the table of each experiment"
    parser = add_command(commands, "links", _run_links, text)
    results_option(parser)
    _store_option(parser)
    parser.add_argument(
        "--server", default="http://localhost:5000", metavar="URL", help="address of the UI"
    )


def _run_links(args: argparse.Namespace) -> None:
    from satl.tracking.mlflow import links

    found = links(args.results, args.server, args.tracking_uri)
    for experiment, views in found.items():
        print(experiment, *(f"  {title:20}{address}" for title, address in views.items()), sep="\n")
    if not found:
        print("No runs yet. They appear while they train, with links above them: `make run`")


def _store_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tracking-uri", metavar="URI",
        help="where MLflow keeps runs (default: MLFLOW_TRACKING_URI, else RESULTS/mlflow.db)",
    )  # fmt: skip


COMMANDS = (
    _evaluate,
    _report,
    _track,
    _watch,
    _links,
)
