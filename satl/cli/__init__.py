"""The command line: one sub-command for each arrow of the data flow.

Here and in the modules beside this nothing heavy is imported before a command runs.
"""

import argparse
import logging
import sys

from satl import __version__
from satl.cli import data, downloads, results, training
from satl.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status (2 after an error in the input)."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("satl").setLevel(logging.INFO)
    parsed = _parser().parse_args(arguments)
    try:
        parsed.function(parsed)
    except UserError as error:
        print(f"satl {parsed.command}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from where it was", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="satl",
        description="Multi-label image recognition with partial labels: from images and "
        "annotations to tables and figures, one command for each step of the workflow.",
        epilog="The workflow (Snakefile) calls these commands; `satl COMMAND --help` tells more.",
    )
    parser.add_argument("--version", action="version", version=f"satl-bench {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (*downloads.COMMANDS, *data.COMMANDS, *training.COMMANDS, *results.COMMANDS):
        add(commands)
    return parser
