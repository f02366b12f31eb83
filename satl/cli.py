"""The command line: one sub-command for each arrow of the data flow."""

import argparse
import json
import logging
import sys
from pathlib import Path

from satl import __version__
from satl.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status (2 after an error in the input)."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("satl").setLevel(logging.INFO)
    parsed = _parser().parse_args(arguments)
    try:
        parsed.function(parsed)
    except UserError as error:
        print(f"satl {parsed.command}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="satl",
        description="Multi-label image recognition with partial labels: from images and "
        "annotations to tables and figures, one command for each step of the workflow.",
        epilog="The workflow (Snakefile) calls these commands; `satl COMMAND --help` tells more.",
    )
    parser.add_argument("--version", action="version", version=f"satl-bench {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_glyphs, _table, _split, _backbone, _train, _evaluate, _report, _track, _schema):
        add(commands)
    return parser


def _command(commands, name: str, run, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(function=run)
    return parser


def _path(parser: argparse.ArgumentParser, option: str, text: str, required: bool = True) -> None:
    parser.add_argument(option, type=Path, required=required, metavar="FILE", help=text)


def _config(parser: argparse.ArgumentParser) -> None:
    _path(parser, "--config", "the experiment file (YAML)")


def _out(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help=text)


def _device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:N or mps (default: the config's)")


def _glyphs(commands) -> None:
    parser = _command(commands, "glyphs", _run_glyphs, "draw the embedded data set")
    _config(parser)
    parser.add_argument("--dataset", required=True, help="its name in the config")
    _out(parser, "folder for the images and the two instances_*.json")


def _run_glyphs(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from satl.config import GlyphsDataset, load
    from satl.data.glyphs import draw_dataset

    dataset = _choose(load(args.config).datasets, args.dataset, "dataset")
    if not isinstance(dataset, GlyphsDataset):
        raise UserError(f"data set {args.dataset} has format {dataset.format}, not glyphs")
    draw_dataset(args.out, dataset.train_images, dataset.test_images, dataset.seed, tqdm)


def _table(commands) -> None:
    parser = _command(commands, "table", _run_table, "read COCO annotations into a label table")
    parser.add_argument("annotations", type=Path, help="instances_*.json")
    parser.add_argument("--images", type=Path, required=True, help="folder of the image files")
    for name, text in (
        ("--unannotated", "images without any annotation"),
        ("--crowds", "annotations with iscrowd"),
    ):
        parser.add_argument(name, choices=("keep", "drop"), default="keep", help=text)
    parser.add_argument("--expected-images", type=int, help="stop unless there are so many images")
    _path(parser, "--images-out", "also write the images without their labels", required=False)
    _out(parser, "label table to write (.npz)")


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
    parser = _command(commands, "split", _run_split, "hide a random share of the labels")
    parser.add_argument("table", type=Path, help="label table (.npz)")
    parser.add_argument("--known-ratio", type=float, required=True, help="in (0, 1]")
    parser.add_argument("--seed", type=_seed, default=0, help="of the mask; 0 as published")
    _out(parser, "partially labelled table to write (.npz)")


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


def _backbone(commands) -> None:
    text = "fetch or pre-train the weights that training starts from"
    parser = _command(commands, "backbone", _run_backbone, text)
    _config(parser)
    _device(parser)
    _out(parser, "state_dict to write (.pt)")


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
    parser = _command(commands, "train", _run_train, "train one method on partial labels")
    _config(parser)
    parser.add_argument("--dataset", required=True, help="its name in the config")
    parser.add_argument("--method", required=True, help="its name in the config")
    _path(parser, "--observed", "partially labelled training table, from `satl split`")
    _path(parser, "--test-images", "test images without labels, from `satl table --images-out`")
    _path(parser, "--weights", "weights of the backbone, from `satl backbone`")
    parser.add_argument(
        "--checkpoints", type=Path, required=True, metavar="DIR", help="folder for checkpoints"
    )
    _device(parser)
    _out(parser, "run folder to write")


def _run_train(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.data.table import LabelTable
    from satl.engine import choose_device, train
    from satl.jobs import RunSpec, Shared

    experiment = load(args.config)
    _choose(experiment.datasets, args.dataset, "dataset")
    entry = _choose(experiment.methods, args.method, "method")
    shared = Shared(
        model=experiment.model,
        training=experiment.training,
        test=LabelTable.load(args.test_images).without_labels(),
        weights=args.weights,
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


def _evaluate(commands) -> None:
    text = "compare a run with the true labels"
    parser = _command(commands, "evaluate", _run_evaluate, text)
    parser.add_argument("run", type=Path, help="run folder, from `satl train`")
    _path(parser, "--observed", "the partially labelled table it was trained on")
    _path(parser, "--train", "fully labelled training table")
    _path(parser, "--test", "fully labelled test table")


def _run_evaluate(args: argparse.Namespace) -> None:
    from satl.data.table import LabelTable
    from satl.evaluate import evaluate

    evaluate(args.run, *map(LabelTable.load, (args.observed, args.train, args.test)))


def _report(commands) -> None:
    text = "write summary.csv, tables and figures from the run folders"
    parser = _command(commands, "report", _run_report, text)
    _config(parser)
    _results(parser)


def _run_report(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.report import write_report

    experiment = load(args.config)
    write_report(experiment, args.results / experiment.name)


def _track(commands) -> None:
    text = "log the run folders, tables and figures to MLflow"
    parser = _command(commands, "track", _run_track, text)
    _config(parser)
    _results(parser)
    parser.add_argument("--tracking-uri", help="default: sqlite, RESULTS/mlflow.db")


def _run_track(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.tracking import track

    experiment = load(args.config)
    uri = args.tracking_uri or f"sqlite:///{args.results / 'mlflow.db'}"
    print(json.dumps(track(experiment, args.results / experiment.name, uri)))


def _results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of all results (results)"
    )


def _schema(commands) -> None:
    text = "print the JSON schema of experiment files"
    _command(commands, "schema", _run_schema, text)


def _run_schema(args: argparse.Namespace) -> None:
    from satl.schema import experiment_schema

    print(json.dumps(experiment_schema(), indent=2, ensure_ascii=False))


def _choose(known, name: str, what: str):
    if name not in known:
        raise UserError(f"unknown {what} {name!r}; the config has {', '.join(known)}")
    return known[name]
