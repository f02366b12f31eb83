"""`satl backbone` and `train`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from satl.cli.options import (
    add_command,
    choose,
    config_option,
    device_option,
    out_option,
    path_option,
)
from satl.errors import UserError

if TYPE_CHECKING:
    from satl.config import Experiment


def _backbone(commands) -> None:
    text = "fetch or pre-train the weights that training starts from"
    parser = add_command(commands, "backbone", _run_backbone, text)
    config_option(parser)
    device_option(parser)
    out_option(parser, "state_dict to write (.pt)")


def _run_backbone(args: argparse.Namespace) -> None:
    import torch

    from satl.config import load
    from satl.engine import choose_device
    from satl.files import writing
    from satl.models.backbone import initial_weights
    from satl.pretrain import pretrain_on_glyphs

    experiment = load(args.config)
    name, source = experiment.model.backbone, experiment.model.weights
    if source == "glyphs":
        device = choose_device(args.device or experiment.device)
        weights = pretrain_on_glyphs(name, experiment.pretraining, device)
    else:
        weights = initial_weights(name, _imagenet(experiment) or source)
    with writing(args.out) as temporary:
        torch.save(weights, temporary)


def _imagenet(experiment: "Experiment") -> str | None:
    """ImageNet's weights, downloaded unless they are there; None where others are asked for."""
    from satl.data.download import provide
    from satl.data.needs import source_of, weights_path

    path = weights_path(experiment)
    name = path and source_of(experiment, path)
    if name:
        provide(experiment, [name])
    return path


def _train(commands) -> None:
    parser = add_command(commands, "train", _run_train, "train one method on partial labels")
    config_option(parser)
    parser.add_argument("--dataset", required=True, help="its name in the config")
    parser.add_argument("--method", required=True, help="its name in the config")
    path_option(parser, "--observed", "partially labelled training table, from `satl split`")
    path_option(parser, "--test-images", "test images, from `satl table --images-out`")
    path_option(parser, "--weights", "weights of the backbone, from `satl backbone`")
    path_option(
        parser,
        "--words",
        "word vectors, from `satl words` (needed for word_vectors: glove)",
        required=False,
    )
    parser.add_argument(
        "--checkpoints", type=Path, required=True, metavar="DIR", help="folder for checkpoints"
    )
    device_option(parser)
    out_option(parser, "run folder to write")


def _run_train(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.data.table import LabelTable
    from satl.engine import choose_device, train
    from satl.jobs import RunSpec, Shared

    experiment = load(args.config)
    choose(experiment.datasets, args.dataset, "dataset")
    entry = choose(experiment.methods, args.method, "method")
    if experiment.model.word_vectors == "glove" and not args.words:
        raise UserError("model.word_vectors is glove: give --words FILE, from `satl words`")
    shared = Shared(
        model=experiment.model,
        training=experiment.training,
        test=LabelTable.load(args.test_images).without_labels(),
        weights=args.weights,
        words=args.words,
        checkpoints=args.checkpoints,
        device=choose_device(args.device or experiment.device),
    )
    run = RunSpec(
        experiment=experiment.name,
        dataset=args.dataset,
        variant=args.method,
        method=entry.method,
        options=entry.options,
        observed=LabelTable.load(args.observed),
        folder=args.out,
    )
    train(shared, [run])


COMMANDS = (_backbone, _train)
