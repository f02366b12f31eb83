"""`satl download` and `embeddings`: what comes from elsewhere, and the part of it that is used."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from satl.cli._options import add_command, config_option, out_option, path_option
from satl.core.errors import UserError

if TYPE_CHECKING:
    from satl.config import Experiment


def _download(commands) -> None:
    text = "download, verify and unpack what the paths of a config need"
    parser = add_command(commands, "download", _run_download, text)
    config_option(parser)
    parser.add_argument(
        "--only", nargs="+", metavar="SOURCE", help="these files, needed or not (see --list)"
    )
    parser.add_argument("--list", action="store_true", help="only say what there is to fetch")


def _run_download(args: argparse.Namespace) -> None:
    from satl.config import load
    from satl.config.explain import suggestion
    from satl.download.needs import needed, sources_of
    from satl.download.provide import provide

    experiment = load(args.config)
    names = list(dict.fromkeys(args.only or needed(experiment)))
    sources = sources_of(experiment)
    for name in names:
        if name not in sources:
            near, known = suggestion(name, sources), ", ".join(sources)
            raise UserError(f"unknown source {name!r}{near}; the sources are {known}")
    if not names:
        print(f"{args.config} names no file in {experiment.data_folder} that could be downloaded")
    elif args.list:
        print("\n".join(_line(experiment, name) for name in names))
    else:
        provide(experiment, names)


def _line(experiment: "Experiment", name: str) -> str:
    from satl.download.needs import is_user_provided, provided, receipt, sources_of
    from satl.download.unpack import in_words

    source, target = sources_of(experiment)[name], provided(experiment, name)
    if is_user_provided(experiment, name):
        state = "yours"
    else:
        state = "there" if target.exists() and receipt(experiment, name).exists() else "to fetch"
    size = in_words(source.size) if source.size else "size not known"
    origin = f"timm's hub: {source.hub}" if source.hub else source.path or source.urls[0]
    return f"{state:8}  {size:>15}  {name} -> {target}\n{'':27}{origin}"


def _embeddings(commands) -> None:
    text = "take the word embeddings of category names out of a large file"
    parser = add_command(commands, "embeddings", _run_embeddings, text)
    parser.add_argument("vectors", type=Path, help="text file, in GloVe's format")
    path_option(parser, "--images", "a table of images, from `satl table`: its category names")
    out_option(parser, "text file to write")


def _run_embeddings(args: argparse.Namespace) -> None:
    from satl.data.embeddings import extract_embeddings
    from satl.data.table import LabelTable

    categories = LabelTable.load(args.images).categories
    count = extract_embeddings(args.vectors, categories, args.out)
    print(json.dumps({"categories": len(categories), "words": count}))


COMMANDS = (_download, _embeddings)
