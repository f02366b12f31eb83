"""`satl backbone` and `train`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from satl.cli._options import (
    add_command,
    choose,
    config_option,
    device_option,
    out_option,
    path_option,
    seed,
)
from satl.core.errors import UserError

if TYPE_CHECKING:
    from satl.config import Experiment

PARTS = ("train", "validation", "test")


def _backbone(commands) -> None:
    text = "fetch or pre-train the weights that training starts from"
    parser = add_command(commands, "backbone", _run_backbone, text)
    config_option(parser)
    device_option(parser)
    out_option(parser, "state_dict to write (.pt)")


def _run_backbone(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.config.catalogue import PACKAGED_WEIGHTS
    from satl.core.files import write_tensors
    from satl.models.backbone import build_backbone, initial_weights
    from satl.models.packaged import packaged_weights
    from satl.training.engine import choose_device
    from satl.training.lease import leased_device
    from satl.training.pretrain import pretrain_on_glyphs

    experiment = load(args.config)
    name, source = experiment.model.backbone, experiment.model.weights
    if source == "glyphs":
        with leased_device(args.device or experiment.device, experiment.runs_per_device) as device:
            weights = pretrain_on_glyphs(name, experiment.pretraining, choose_device(device))
    elif source == "imagenet" and name in PACKAGED_WEIGHTS:
        weights = packaged_weights(name)
    else:
        weights = initial_weights(name, _downloaded(experiment) or source)
    # Says what is wrong with them.
    build_backbone(name, weights, experiment.model.frozen, experiment.training.image_size)
    write_tensors(args.out, weights)


def _downloaded(experiment: "Experiment") -> str | None:
    """ImageNet's or the hub's weights, downloaded unless there; None: others are asked for."""
    from satl.download.needs import source_of, weights_path
    from satl.download.provide import provide

    path = weights_path(experiment)
    name = path and source_of(experiment, path)
    if name:
        provide(experiment, [name])
    return path


def _train(commands) -> None:
    parser = add_command(commands, "train", _run_train, "train methods on partial labels")
    config_option(parser)
    parser.add_argument("--dataset", required=True, help="its name in the config")
    parser.add_argument(
        "--run",
        dest="runs",
        nargs=3,
        action="append",
        required=True,
        metavar=("METHOD", "OBSERVED", "OUT"),
        help="a run: the method's name in the config, the partially labelled training table from "
        "`satl split`, and the run folder to write; several runs are trained side by side",
    )
    parser.add_argument("--seed", type=seed, default=0, help="of the training (default: 0)")
    path_option(parser, "--test-images", "test images, from `satl images --images-out`")
    text = "images held out of training, likewise (validation)"
    path_option(parser, "--validation-images", text, required=False)
    parser.add_argument(
        "--validation-labels", type=Path, nargs="+", metavar="FILE",
        help="what is known of their labels, one table per --run: it chooses the thresholds of "
        "kept weights, and their epoch (training.keep_weights)",
    )  # fmt: skip
    for part in PARTS:
        text = f"decoded {part} images, from `satl images --pixels-out` (image_cache: disk)"
        path_option(parser, f"--{part}-pixels", text, required=False)
    for part in PARTS:
        text = f"feature maps of {part} images, from `satl features` (training.cached_views)"
        path_option(parser, f"--{part}-features", text, required=False)
    text = "those of strong views of training images (training.cached_strong_views)"
    path_option(parser, "--strong-features", text, required=False)
    path_option(parser, "--weights", "weights of the backbone, from `satl backbone`")
    text = "word embeddings, from `satl embeddings` (needed for word_vectors: glove)"
    path_option(parser, "--embeddings", text, required=False)
    parser.add_argument(
        "--store", type=Path, required=True, metavar="DIR",
        help="folder that keeps checkpoints and finished trainings, which are not trained again",
    )  # fmt: skip
    device_option(parser)


def _run_train(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.data.table import LabelTable
    from satl.methods.registry import checked_method
    from satl.training.context import RunSpec, TrainingContext
    from satl.training.engine import choose_device, train
    from satl.training.lease import leased_device

    experiment = load(args.config)
    choose(experiment.datasets, args.dataset, "dataset")
    if experiment.model.word_vectors == "glove" and not args.embeddings:
        raise UserError(
            "model.word_vectors is glove: give --embeddings FILE, from `satl embeddings`"
        )
    held_out = args.validation_labels or [None] * len(args.runs)
    if len(held_out) != len(args.runs):
        raise UserError(
            f"--validation-labels names {len(held_out)} tables for {len(args.runs)} runs"
        )
    runs = []
    for (name, observed, folder), known in zip(args.runs, held_out, strict=True):
        entry = choose(experiment.trained, name, "method")
        table = LabelTable.load(Path(observed))
        runs.append(
            RunSpec(
                experiment.name, args.dataset, name, entry.method,
                *checked_method(name, entry), table, Path(folder), args.seed,
                entry.own_training, known and LabelTable.load(known),
            )
        )  # fmt: skip
    test = LabelTable.load(args.test_images).without_labels()
    validation = args.validation_images and LabelTable.load(args.validation_images)
    with leased_device(args.device or experiment.device, experiment.runs_per_device) as device:
        shared = TrainingContext(
            model=experiment.model,
            training=experiment.training,
            test=test,
            weights=args.weights,
            words=args.embeddings,
            store=args.store,
            device=choose_device(device),
            validation=validation.without_labels() if validation else None,
            pixels={part: getattr(args, f"{part}_pixels") for part in PARTS},
            features={part: getattr(args, f"{part}_features") for part in (*PARTS, "strong")},
        )
        train(shared, runs)


COMMANDS = (_backbone, _train)
