"""`satl evaluate`, `report` and `track`: from run folders to what people read."""

import argparse
import json
from pathlib import Path
from typing import Any

from satl.cli.options import add_command, config_option, path_option, results_option


def _evaluate(commands: Any) -> None:
    text = "compare a run with the true labels"
    parser = add_command(commands, "evaluate", _run_evaluate, text)
    parser.add_argument("run", type=Path, help="run folder, from `satl train`")
    path_option(parser, "--observed", "the partially labelled table it was trained on")
    path_option(parser, "--train", "fully labelled training table")
    path_option(parser, "--test", "fully labelled test table")
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="the complete run folder (default: RUN itself)"
    )
    parser.add_argument(
        "--resamples", type=int, default=1000, help="of the test images (default: 1000)"
    )


def _run_evaluate(args: argparse.Namespace) -> None:
    from satl.data.table import LabelTable
    from satl.evaluation.evaluate import evaluate

    observed, train, test = map(LabelTable.load, (args.observed, args.train, args.test))
    out = args.out or args.run
    evaluate(args.run, observed, train, test, out, resamples=args.resamples)


def _report(commands: Any) -> None:
    text = "write summary.csv, tables and figures from the run folders"
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
        "--tracking-uri", help="where the tracker keeps runs; MLflow's default: RESULTS/mlflow.db"
    )


def _run_track(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.tracking import tracker

    track = tracker(args.to)
    experiment = load(args.config)
    print(json.dumps(track(experiment, args.results / experiment.name, args.tracking_uri)))


COMMANDS = (
    _evaluate,
    _report,
    _track,
)
