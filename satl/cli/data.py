"""`satl prepare`, `table` and `holdout`: from images and annotations to label tables."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satl.cli._options import (
    Options,
    add_command,
    choose,
    config_option,
    out_option,
    path_option,
)
from satl.core.errors import UserError

if TYPE_CHECKING:
    from satl.data.formats.base import DataFormat
    from satl.data.table import LabelTable

BY_HAND = ("images", "unannotated", "crowds", "expected_images")
FROM_CONFIG = ("dataset", "part", "prepared")


def _dataset_option(parser: Options, required: bool = True) -> None:
    parser.add_argument("--dataset", required=required, help="name of the data set in the config")


def _dataset(args: argparse.Namespace) -> "DataFormat":
    from satl.config import load

    dataset: DataFormat = choose(load(args.config).datasets, args.dataset, "dataset")
    return dataset


def _prepare(commands: Any) -> None:
    text = "write what both tables of a data set need, e.g. draw the pictures of the embedded one"
    parser = add_command(commands, "prepare", _run_prepare, text)
    config_option(parser)
    _dataset_option(parser)
    out_option(parser, "folder to write, for `satl table --prepared`")


def _run_prepare(args: argparse.Namespace) -> None:
    print(json.dumps(_dataset(args).prepare(args.out), indent=2))


def _table(commands: Any) -> None:
    text = "read annotations into a label table: of a config's data set, or a COCO file"
    parser = add_command(commands, "table", _run_table, text)
    config = parser.add_argument_group("a data set of a config, of any format")
    config_option(config, required=False)
    _dataset_option(config, required=False)
    config.add_argument("--part", choices=("train", "test"))
    path_option(config, "--prepared", "folder that `satl prepare` wrote", required=False)
    coco = parser.add_argument_group("or one annotation file in COCO's format")
    coco.add_argument("annotations", type=Path, nargs="?", help="instances_*.json")
    coco.add_argument("--images", type=Path, metavar="DIR", help="folder of the image files")
    for name, what in (
        ("--unannotated", "images without any annotation"),
        ("--crowds", "annotations with iscrowd"),
    ):
        coco.add_argument(name, choices=("keep", "drop"), help=f"{what} (keep)")
    coco.add_argument("--expected-images", type=int, help="any other number is an error")
    path_option(
        parser, "--same-categories-as", "another table; different ones are an error", required=False
    )
    path_option(
        parser, "--images-out", "also write the images without their labels", required=False
    )
    out_option(parser, "label table to write (.npz)")


def _run_table(args: argparse.Namespace) -> None:
    from satl.data.table import LabelTable, check_same_categories

    table = _table_of_config(args) if args.config else _table_of_coco(args)
    if args.same_categories_as:
        check_same_categories(LabelTable.load(args.same_categories_as), table)
    if args.images_out:
        table.without_labels().save(args.images_out)
    table.save(args.out)
    print(json.dumps({**table.counts(), **table.info}, indent=2))


def _table_of_config(args: argparse.Namespace) -> "LabelTable":
    _refuse(args, ("annotations", *BY_HAND), "--config, whose data set says it")
    if args.dataset is None or args.part is None:
        raise UserError("--config needs --dataset NAME and --part train or test")
    return _dataset(args).table(args.part, args.prepared)


def _table_of_coco(args: argparse.Namespace) -> "LabelTable":
    from satl.data.formats.coco import read_coco

    _refuse(args, FROM_CONFIG, "an annotation file; give --config")
    if args.annotations is None or args.images is None:
        raise UserError("give ANNOTATIONS and --images DIR, or --config, --dataset and --part")
    table = read_coco(
        args.annotations,
        args.images,
        crowds=args.crowds or "keep",
        expected_images=args.expected_images,
    )
    return table.annotated() if args.unannotated == "drop" else table


def _refuse(args: argparse.Namespace, names: tuple[str, ...], beside: str) -> None:
    for name in names:
        if getattr(args, name) is not None:
            option = name if name == "annotations" else f"--{name.replace('_', '-')}"
            raise UserError(f"{option} does not go with {beside}")


def _holdout(commands: Any) -> None:
    text = "hold out a random share of the training images, whose known labels choose an epoch"
    parser = add_command(commands, "holdout", _run_holdout, text)
    parser.add_argument("table", type=Path, help="label table of the training images (.npz)")
    parser.add_argument("--share", type=float, required=True, help="of the images, in (0, 1)")
    path_option(parser, "--held-out", "label table to write of the images held out")
    out_option(parser, "label table to write of the images that stay")


def _run_holdout(args: argparse.Namespace) -> None:
    from satl.data.holdout import hold_out
    from satl.data.table import LabelTable

    kept, held_out = hold_out(LabelTable.load(args.table), args.share)
    held_out.save(args.held_out)
    kept.save(args.out)
    print(json.dumps({"training": kept.counts(), "held out": held_out.counts()}, indent=2))


COMMANDS = (_prepare, _table, _holdout)
