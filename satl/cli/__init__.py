"""The command line: one sub-command for each arrow of the data flow.

Each module beside this is a group of commands; what they share is in _options.py. Nothing heavy
is imported before a command runs.
"""

import argparse
import logging
import os
import signal
import sys

from satl import __version__
from satl.cli import (
    check,
    data,
    downloads,
    estimate,
    features,
    images,
    prediction,
    results,
    split,
    status,
    training,
)
from satl.core.errors import UserError
from satl.training.stopping import Stopped


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status (2 after an error in the input, 1 after a part)."""
    # PyTorch's threads otherwise spin while they wait for each other: beside another busy process
    # a training on two threads then takes several times as long. Read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(format="%(message)s")
    logging.getLogger("satl").setLevel(logging.INFO)
    parsed = _parser().parse_args(arguments)
    try:
        status = parsed.function(parsed)
        sys.stdout.flush()
    except UserError as error:
        print(f"satl {parsed.command}: error: {error}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(f"satl {parsed.command}: {stop}; rerun the same command to resume", file=sys.stderr)
        return stop.exit_status
    except KeyboardInterrupt:
        print(f"satl {parsed.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # `satl status | head`: the reader has seen enough. What is left in the buffer would raise
        # again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return status or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="satl",
        description="Multi-label image recognition with partial labels: from images and "
        "annotations to tables and figures, one command for each step of the workflow.",
        epilog="The workflow (Snakefile) calls these commands; `satl COMMAND --help` tells more.",
    )
    parser.add_argument("--version", action="version", version=f"satl-bench {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    groups = (
        check, downloads, data, images, split, features, estimate, training, status, results,
        prediction,
    )  # fmt: skip
    for add in (add for group in groups for add in group.COMMANDS):
        add(commands)
    return parser
