"""`satl split`: from full labels to what training is told of them."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satl.cli._options import add_command, path_option, seed
from satl.core.errors import UserError

if TYPE_CHECKING:
    from satl.data.observe.base import Observation
    from satl.data.table import LabelTable


def _split(commands: Any) -> None:
    parser = add_command(commands, "split", _run_split, "hide some of the labels")
    parser.add_argument(
        "table", type=Path, help="label table, or with neither of the following, a split (.npz)"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--known-ratio", type=float, help="of labels known at random, in (0, 1]")
    how.add_argument(
        "--observe",
        metavar="SETTING",
        help="another way, as an entry of `observe` in a config has it, in YAML: single_positive, "
        "or 'few: {kind: per_category, positives: 5, negatives: 20}'",
    )
    path_option(how, "--mask", "as a file of --mask-out has it", required=False)
    parser.add_argument("--seed", type=seed, default=0, help="of the mask; 0 as published")
    path_option(parser, "--out", "partially labelled table to write (.npz)", required=False)
    path_option(parser, "--mask-out", "file to write which labels are known to", required=False)
    path_option(
        parser, "--verify", "file of --mask-out; an error unless the same labels are known",
        required=False,
    )  # fmt: skip


def _run_split(args: argparse.Namespace) -> None:
    from satl.data.masks import Mask

    if not (args.out or args.mask_out or args.verify):
        raise UserError("nothing to do: give --out, --mask-out or --verify")
    observed = _observed(args)
    mask = Mask.of(observed)
    if args.verify:
        wanted = Mask.load(args.verify)
        wanted.check_is_of(observed, args.verify)
        wanted.check_equals(mask, args.verify)
    if args.out:
        observed.save(args.out)
    if args.mask_out:
        mask.save(args.mask_out)
    print(json.dumps({**observed.counts(), **observed.info, "sha256": mask.digest()}, indent=2))


def _observed(args: argparse.Namespace) -> "LabelTable":
    """The split that the options ask for; without any, the table that is one already."""
    from satl.data.observe.file import FileObservation
    from satl.data.splits import split
    from satl.data.table import LabelTable

    table = LabelTable.load(args.table)
    if args.known_ratio is not None:
        return split(table, args.known_ratio, args.seed)
    if args.mask:
        return FileObservation(path=str(args.mask)).observe(table, args.mask.stem)
    if args.observe is not None:
        name, observation = _setting(args.observe)
        return observation.with_seed(args.seed).observe(table, name)
    if args.out:
        raise UserError("--out needs to know how: give --known-ratio, --observe or --mask")
    return table


def _setting(text: str) -> tuple[str, "Observation"]:
    """Name and content of one entry of `observe`, in YAML. Raises UserError."""
    import yaml

    from satl.config import observe_entries, read_options
    from satl.data.observe import KINDS

    try:
        entries = observe_entries(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"--observe {text!r}: {error}") from error
    if len(entries) != 1:
        raise UserError(f"--observe {text!r}: names {len(entries)} settings; give one")
    name, options = entries.popitem()
    if options["kind"] not in KINDS:
        raise UserError(
            f"--observe {text!r}: unknown kind {options['kind']!r}; "
            f"the kinds are {', '.join(KINDS)}"
        )
    return str(name), read_options(KINDS[options["kind"]], options, f"observe.{name}")


COMMANDS = (_split,)
