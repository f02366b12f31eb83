"""What the sub-commands share: how one is added, and the options that several have."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from satl.core.errors import UserError

Parser = argparse.ArgumentParser
Options = argparse.ArgumentParser | argparse._ArgumentGroup
Run = Callable[[argparse.Namespace], int | None]  # the exit status, where it is not 0


def add_command(commands: Any, name: str, run: Run, text: str) -> Parser:
    """Add sub-command `name`, which calls `run` with the parsed arguments."""
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(function=run)
    return parser


def path_option(parser: Options, option: str, text: str, required: bool = True) -> None:
    """An option that names a file."""
    parser.add_argument(option, type=Path, required=required, metavar="FILE", help=text)


def config_option(parser: Options, required: bool = True) -> None:
    """`--config`; `--configfile`, as Snakemake calls it, is the same."""
    parser.add_argument(
        "--config", "--configfile", type=Path, required=required, metavar="FILE",
        help="the experiment file (YAML)",
    )  # fmt: skip


def out_option(parser: Parser, text: str) -> None:
    """`--out`, what to write."""
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help=text)


def device_option(parser: Parser, default: str = "the config's") -> None:
    """`--device`."""
    parser.add_argument("--device", help=f"auto, cpu, cuda, cuda:N or mps (default: {default})")


def results_option(parser: Parser) -> None:
    """`--results`."""
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of all results (results)"
    )


def choose(known: Mapping[str, Any], name: str, what: str) -> Any:
    """`known[name]`. Raises UserError that lists what there is."""
    if name not in known:
        raise UserError(f"unknown {what} {name!r}; the config has {', '.join(known)}")
    return known[name]


def seed(text: str) -> int:
    """The type of a `--seed` option. Raises ArgumentTypeError where NumPy could not take it."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{value} is outside 0 … 2**32 - 1")
    return value
