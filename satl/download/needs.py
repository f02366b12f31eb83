"""What an experiment has to download: nothing but what its configured paths name.

Imports no array code: the workflow asks here for the receipts that its jobs wait for.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from satl.config import Experiment, Model, SourceOverride
from satl.config.catalogue import CATALOGUE, GLOVE, IMAGENET_WEIGHTS, Checks, Source


def sources_of(experiment: Experiment) -> dict[str, Source]:
    """The whole catalogue, with the addresses and checks of `sources` in the experiment file.

    And the weights of timm's hub that the experiment asks for, if it does.
    """
    overrides = experiment.sources
    catalogue = {
        name: _overridden(source, overrides[name]) if name in overrides else source
        for name, source in CATALOGUE.items()
    }
    return {**catalogue, **_hub_weights(experiment.model)}


def _hub_weights(model: Model) -> dict[str, Source]:
    if model.weights != "hub":
        return {}
    name = model.backbone.removeprefix("timm/")
    file = f"{name}.safetensors"
    return {file: Source((), provides=f"weights/timm/{file}", size=0, hub=name)}


def _overridden(source: Source, override: SourceOverride) -> Source:
    changed: dict[str, Any] = {"urls": tuple(override.urls or source.urls), "path": override.path}
    if override.has_checks or override.unchecked:
        # Another build of the file: nothing of the catalogue holds for it.
        size = override.bytes or 0
        changed["checks"] = Checks(override.bytes, override.md5, override.sha256)
        changed["size"] = size
        if source.unpacked is not None:
            changed["unpacked"] = int(source.unpacked * size / source.size)
    return replace(source, **changed)


def provided(experiment: Experiment, name: str) -> Path:
    """The file or folder that source `name` becomes."""
    return Path(experiment.data_folder, sources_of(experiment)[name].provides)


def receipt(experiment: Experiment, name: str) -> Path:
    """The file that says where source `name` came from; written once it is complete."""
    return Path(experiment.data_folder, "receipts", f"{name}.json")


def is_user_provided(experiment: Experiment, name: str) -> bool:
    """Whether the user, not a download, put there what source `name` provides."""
    return provided(experiment, name).exists() and not receipt(experiment, name).exists()


def source_of(experiment: Experiment, path: str) -> str | None:
    """The source that is, or holds, the configured `path`; None where the user provides it."""
    wanted = Path(os.path.abspath(path))
    for name in sources_of(experiment):
        if wanted.is_relative_to(os.path.abspath(provided(experiment, name))):
            return None if is_user_provided(experiment, name) else name
    return None


def weights_path(experiment: Experiment) -> str | None:
    """Where ImageNet's or the hub's weights lie, or will; None unless it downloads them."""
    model = experiment.model
    for name in _hub_weights(model):
        return str(provided(experiment, name))
    if model.weights != "imagenet" or model.backbone not in IMAGENET_WEIGHTS:
        return None
    return str(provided(experiment, IMAGENET_WEIGHTS[model.backbone]))


def vectors_path(experiment: Experiment) -> str | None:
    """Where GloVe lies, or will; None unless the experiment asks for it."""
    asked = experiment.model.word_vectors == "glove"
    return str(provided(experiment, GLOVE)) if asked else None


def needed(experiment: Experiment) -> list[str]:
    """The sources that the experiment's paths need, those already downloaded included."""
    paths = [
        *_texts([dataset.model_dump() for dataset in experiment.datasets.values()]),
        *_texts([experiment.model.model_dump(include={"weights", "word_vectors"})]),
        *filter(None, (weights_path(experiment), vectors_path(experiment))),
    ]
    found = {source_of(experiment, path) for path in paths}
    return [name for name in sources_of(experiment) if name in found]


def _texts(value: Any) -> Iterator[str]:
    """Every text in nested mappings and lists: whichever key of a data set is a path."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
