"""`satl images`: decode all images once, before anything is trained on them."""

import argparse
import json
import os
from pathlib import Path

from satl.cli._options import add_command, out_option, path_option
from satl.core.errors import UserError


def _images(commands) -> None:
    text = "check that all images of a table can be decoded, and keep them decoded if asked to"
    parser = add_command(commands, "images", _run_images, text)
    parser.add_argument("table", type=Path, help="label table, from `satl table`")
    parser.add_argument(
        "--unreadable", choices=("stop", "drop"), default="stop",
        help="images that cannot be decoded: an error that names all, or left out of the table",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    path_option(parser, "--images-out", "also write the images without labels", required=False)
    text = "also write the images, decoded, to this .npy file, with a .json file beside it"
    path_option(parser, "--pixels-out", text, required=False)
    parser.add_argument("--side", type=int, help="of the square that they are then resized to")
    out_option(parser, "label table to write (.npz)")


def _run_images(args: argparse.Namespace) -> None:
    from satl.data.images.prepare import prepare_images
    from satl.data.table import LabelTable

    if (args.pixels_out is None) != (args.side is None):
        raise UserError("--pixels-out and --side go together: give both or neither")
    if args.side is not None and args.side < 1:
        raise UserError(f"--side {args.side}: must be at least 1")
    if args.pixels_out is not None and args.pixels_out.suffix != ".npy":
        raise UserError(f"--pixels-out {args.pixels_out}: its name must end in .npy")
    table = prepare_images(
        LabelTable.load(args.table),
        unreadable=args.unreadable,
        workers=args.workers,
        pixels=args.pixels_out,
        side=args.side,
    )
    if args.images_out:
        table.without_labels().save(args.images_out)
    table.save(args.out)
    facts = {**table.counts(), **table.info, "images_sha256": table.images_sha256}
    print(json.dumps(facts, indent=2))


COMMANDS = (_images,)
