"""`satl features`: feature maps of the frozen stages, computed once for all trainings."""

import argparse
from pathlib import Path
from typing import Any

from satl.cli._options import add_command, config_option, device_option, out_option, path_option


def _features(commands: Any) -> None:
    text = "compute the feature maps of the frozen stages once (training.cached_views)"
    parser = add_command(commands, "features", _run_features, text)
    parser.add_argument("images", type=Path, help="images, from `satl images --images-out`")
    config_option(parser)
    parser.add_argument(
        "--part", choices=("train", "strong", "validation", "test"), required=True,
        help="of the data set; strong: strong views of training images "
        "(training.cached_strong_views)",
    )  # fmt: skip
    path_option(parser, "--weights", "weights of the backbone, from `satl backbone`")
    path_option(parser, "--pixels", "decoded images (image_cache: disk)", required=False)
    device_option(parser)
    out_option(parser, "feature maps to write (.npy)")


def _run_features(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.data.table import LabelTable
    from satl.training.cache_features import cache_features
    from satl.training.engine import choose_device
    from satl.training.lease import leased_device

    experiment = load(args.config)
    table = LabelTable.load(args.images)
    with leased_device(args.device or experiment.device, experiment.runs_per_device) as device:
        cache_features(
            table,
            args.part,
            experiment.model,
            experiment.training,
            args.weights,
            choose_device(device),
            args.out,
            args.pixels,
        )


COMMANDS = (_features,)
