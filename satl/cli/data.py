"""`satl glyphs`, `table` and `split`: from pictures to partial labels."""

import argparse
import json
from pathlib import Path

from satl.cli.options import add_command, choose, config_option, out_option, path_option
from satl.core.errors import UserError


def _glyphs(commands) -> None:
    parser = add_command(commands, "glyphs", _run_glyphs, "draw the embedded data set")
    config_option(parser)
    parser.add_argument("--dataset", required=True, help="its name in the config")
    out_option(parser, "folder for the images and the two instances_*.json")


def _run_glyphs(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from satl.config import GlyphsDataset, load
    from satl.data.glyphs.dataset import draw_dataset

    dataset = choose(load(args.config).datasets, args.dataset, "dataset")
    if not isinstance(dataset, GlyphsDataset):
        raise UserError(f"data set {args.dataset} has format {dataset.format}, not glyphs")
    draw_dataset(args.out, dataset.train_images, dataset.test_images, dataset.seed, tqdm)


def _table(commands) -> None:
    parser = add_command(commands, "table", _run_table, "read COCO annotations into a label table")
    parser.add_argument("annotations", type=Path, help="instances_*.json")
    parser.add_argument("--images", type=Path, required=True, help="folder of the image files")
    for name, text in (
        ("--unannotated", "images without any annotation"),
        ("--crowds", "annotations with iscrowd"),
    ):
        parser.add_argument(name, choices=("keep", "drop"), default="keep", help=text)
    parser.add_argument("--expected-images", type=int, help="stop unless there are so many images")
    path_option(
        parser, "--images-out", "also write the images without their labels", required=False
    )
    out_option(parser, "label table to write (.npz)")


def _run_table(args: argparse.Namespace) -> None:
    from satl.data.coco import read_coco

    table = read_coco(
        args.annotations,
        args.images,
        unannotated=args.unannotated,
        crowds=args.crowds,
        expected_images=args.expected_images,
    )
    if args.images_out:
        table.without_labels().save(args.images_out)
    table.save(args.out)
    print(json.dumps({**table.counts(), **table.info}, indent=2))


def _split(commands) -> None:
    parser = add_command(commands, "split", _run_split, "hide a random share of the labels")
    parser.add_argument("table", type=Path, help="label table (.npz)")
    parser.add_argument("--known-ratio", type=float, required=True, help="in (0, 1]")
    parser.add_argument("--seed", type=_seed, default=0, help="of the mask; 0 as published")
    out_option(parser, "partially labelled table to write (.npz)")


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**32:
        raise argparse.ArgumentTypeError(f"{seed} is outside 0 … 2**32 - 1")
    return seed


def _run_split(args: argparse.Namespace) -> None:
    from satl.data.splits import split
    from satl.data.table import LabelTable

    observed = split(LabelTable.load(args.table), args.known_ratio, args.seed)
    observed.save(args.out)
    print(json.dumps({**observed.counts(), **observed.info}, indent=2))


COMMANDS = (_glyphs, _table, _split)
