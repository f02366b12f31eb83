"""`satl predict` and `export`: what a trained run is good for."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satl.cli._options import add_command, device_option, out_option

if TYPE_CHECKING:
    from satl.prediction.predictor import Prediction
    from satl.training.model_file import ModelFacts

OVERRIDES = {"eval_batch_size": "batch_size", "workers": "workers", "threads": "threads"}


def _run_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, metavar="RUN_FOLDER",
        help="a run trained with training.keep_weights, or its model.safetensors",
    )  # fmt: skip


def _predict(commands: Any) -> None:
    text = "score images of any origin with a trained run, and decide which categories they have"
    parser = add_command(commands, "predict", _run_predict, text)
    _run_folder(parser)
    parser.add_argument(
        "images", type=Path, nargs="+", metavar="IMAGES", help="image files, or folders of them"
    )
    out_option(parser, "the CSV file to write: one row per image (docs/tutorial.md)")
    device_option(parser, "auto")
    for name, what in (
        ("batch-size", "images per batch"), ("workers", "processes that decode images"),
        ("threads", "CPU threads"),
    ):  # fmt: skip
        parser.add_argument(
            f"--{name}", type=int, metavar="N",
            help=f"{what} (default: as in training, which gives the scores of its record)",
        )  # fmt: skip


def _run_predict(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from satl.prediction.images import find_images
    from satl.prediction.predictor import Predictor
    from satl.prediction.table import write_predictions
    from satl.training.engine import choose_device
    from satl.training.model_file import read_model

    files = find_images(args.images)
    model = read_model(args.run)
    given = {key: getattr(args, option) for key, option in OVERRIDES.items()}
    training = model.facts.training.with_settings(
        {key: value for key, value in given.items() if value is not None}
    )
    predictor = Predictor(model, choose_device(args.device or "auto"), training)
    bar = tqdm(predictor.predict(files), total=len(files), desc="predict", unit="image")
    unreadable = write_predictions(args.out, model.facts, bar)
    print(f"{args.out}: {len(files) - len(unreadable)} images")
    _say_what_was_not_chosen(model.facts)
    return _warn_of(unreadable, len(files))


def _say_what_was_not_chosen(facts: "ModelFacts") -> None:
    pairs = zip(facts.categories, facts.chosen, strict=True)
    names = [name for name, chosen in pairs if not chosen]
    if names:
        print(
            f"decided at score 0.5, as the {facts.chosen_on} had no known positive or no known "
            f"negative of them: {', '.join(names)}"
        )


def _warn_of(unreadable: "list[Prediction]", count: int) -> int:
    """Name the images that have no row; returns the exit status."""
    if not unreadable:
        return 0
    print(f"warning: {len(unreadable)} of {count} images cannot be read:", file=sys.stderr)
    for one in unreadable:
        print(f"  {one.file}: {one.unreadable}", file=sys.stderr)
    return 1


def _export(commands: Any) -> None:
    text = "write a trained run for use without this suite: an ONNX file, or an MLflow model"
    parser = add_command(commands, "export", _run_export, text)
    _run_folder(parser)
    parser.add_argument(
        "--format", choices=FORMATS, required=True,
        help="onnx: a file, compared with PyTorch; mlflow: a folder, for `mlflow models serve`",
    )  # fmt: skip
    out_option(parser, "the ONNX file, or the folder of the MLflow model")


def _run_export(args: argparse.Namespace) -> None:
    FORMATS[args.format](args)


def _export_onnx(args: argparse.Namespace) -> None:
    from satl.prediction.onnx_file import CHECKED_BATCHES, export_onnx
    from satl.training.model_file import read_model

    difference = export_onnx(read_model(args.run), args.out)
    print(
        f"{args.out}: agrees with PyTorch to {difference:.1g} (scores of random images, in batches "
        f"of {' and '.join(map(str, CHECKED_BATCHES))})"
    )


def _export_mlflow(args: argparse.Namespace) -> None:
    from satl.tracking.mlflow.model import save_mlflow_model

    save_mlflow_model(args.run, args.out)
    print(f"{args.out}: to serve it, `mlflow models serve -m {args.out} --env-manager local`")


FORMATS = {"onnx": _export_onnx, "mlflow": _export_mlflow}
COMMANDS = (_predict, _export)
