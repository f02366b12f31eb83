"""`satl vg-names` and `vg-table`: Visual Genome to label tables."""

import argparse
import json
from pathlib import Path

from satl.cli.options import add_command, out_option, path_option


def _names(commands) -> None:
    parser = add_command(
        commands, "vg-names", _run_names, "derive the names of Visual Genome's category indices"
    )
    parser.add_argument("index", type=Path, help="vg_category_500_labels_index.json")
    path_option(parser, "--objects", "objects.json")
    parser.add_argument(
        "--categories", type=int, default=200, help="indices below this are kept (200)"
    )
    parser.add_argument(
        "--name",
        type=_numbered_name,
        action="append",
        default=[],
        metavar="INDEX=NAME",
        help="a name that needs no derivation; may be given several times",
    )
    out_option(parser, "category names to write (.json)")


def _numbered_name(text: str) -> tuple[int, str]:
    index, _, name = text.partition("=")
    if not index.isdecimal() or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 17=traffic light")
    return int(index), name


def _run_names(args: argparse.Namespace) -> None:
    from satl.core.files import write_json
    from satl.data.vg.names import derive_names

    derived = derive_names(args.index, args.objects, args.categories, dict(args.name))
    write_json(args.out, derived)
    print(json.dumps({key: value for key, value in derived.items() if key != "matches"}, indent=2))


def _table(commands) -> None:
    parser = add_command(
        commands, "vg-table", _run_table, "read a list of Visual Genome's images into a label table"
    )
    parser.add_argument("list", type=Path, help="image list, one file name a line")
    path_option(parser, "--apart-from", "the other list, which shares no image", required=False)
    path_option(parser, "--index", "vg_category_500_labels_index.json")
    path_option(parser, "--names", "category names, from `satl vg-names`")
    parser.add_argument(
        "--images", type=Path, nargs="+", required=True, metavar="DIR", help="image folders"
    )
    parser.add_argument(
        "--unannotated", choices=("keep", "drop"), default="keep", help="images of no category"
    )
    parser.add_argument("--expected-images", type=int, help="stop unless there are so many images")
    path_option(
        parser, "--images-out", "also write the images without their labels", required=False
    )
    out_option(parser, "label table to write (.npz)")


def _run_table(args: argparse.Namespace) -> None:
    from satl.data.vg.table import read_vg

    table = read_vg(
        args.list,
        args.index,
        args.names,
        args.images,
        apart_from=args.apart_from,
        unannotated=args.unannotated,
        expected_images=args.expected_images,
    )
    if args.images_out:
        table.without_labels().save(args.images_out)
    table.save(args.out)
    print(json.dumps({**table.counts(), **table.info}, indent=2))


COMMANDS = (_names, _table)
