"""`satl backbone` and `train`."""

import argparse
from pathlib import Path

from satl.cli.options import (
    add_command,
    choose,
    config_option,
    device_option,
    out_option,
    path_option,
)


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
        weights = initial_weights(name, source)
    with writing(args.out) as temporary:
        torch.save(weights, temporary)


def _train(commands) -> None:
    parser = add_command(commands, "train", _run_train, "train one method on partial labels")
    config_option(parser)
    parser.add_argument("--dataset", required=True, help="its name in the config")
    parser.add_argument("--method", required=True, help="its name in the config")
    path_option(parser, "--observed", "partially labelled training table, from `satl split`")
    path_option(parser, "--test-images", "test images, from `satl images --images-out`")
    for part in ("train", "test"):
        text = f"decoded {part} images, from `satl images --pixels-out` (image_cache: disk)"
        path_option(parser, f"--{part}-pixels", text, required=False)
    path_option(parser, "--weights", "weights of the backbone, from `satl backbone`")
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
    shared = Shared(
        model=experiment.model,
        training=experiment.training,
        test=LabelTable.load(args.test_images).without_labels(),
        weights=args.weights,
        checkpoints=args.checkpoints,
        device=choose_device(args.device or experiment.device),
        train_pixels=args.train_pixels,
        test_pixels=args.test_pixels,
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
