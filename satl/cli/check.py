"""`satl check` and `satl schema`: what may stand in experiment files."""

import argparse
import json
from pathlib import Path

from satl.cli._options import add_command, config_option


def _check(commands) -> None:
    text = "check an experiment file and print the options of its methods as JSON"
    parser = add_command(commands, "check", _run_check, text)
    config_option(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write it (default: print it)"
    )


def _run_check(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.core.errors import UserError
    from satl.core.files import write_text
    from satl.methods.registry import checked_methods
    from satl.models.backbone import check_backbone

    experiment = load(args.config)
    try:
        check_backbone(experiment.model, experiment.training.image_size)
        methods = checked_methods(experiment)
    except UserError as error:
        raise UserError(f"{args.config} is not valid:\n{error}") from error
    options = {
        variant: {
            "method": experiment.trained[variant].method,
            "options": checked.model_dump(mode="json"),
            "relative_cost": kind.relative_cost,
        }
        for variant, (kind, checked) in methods.items()
    }
    text = json.dumps(options, indent=2, ensure_ascii=False) + "\n"
    if args.out:
        write_text(args.out, text)
    else:
        print(text, end="")


def _schema(commands) -> None:
    text = "print the JSON schema of experiment files"
    add_command(commands, "schema", _run_schema, text)


def _run_schema(args: argparse.Namespace) -> None:
    from satl.methods.schema import experiment_schema

    print(json.dumps(experiment_schema(), indent=2, ensure_ascii=False))


COMMANDS = (_check, _schema)
