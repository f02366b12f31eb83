"""The fingerprint of a run: all that can change one of its numbers, and nothing else.

It is the one answer to "may this result be used again?": training asks before it trains, the
workflow before it plans, reports and trackers before they show a run. Its parts are plain values,
so that a difference can be named:

    code         digest of the code that computes (satl.runs.code)
    method       as registered, with its options, defaults filled in
    model, training   sections of the experiment file, without settings of speed and presentation
    known_ratio, mask_seed   or, for other ways in which labels are known,
    observe      their settings
    seed, validation
    inputs       digests of labels, image files, backbone weights and word embeddings; no paths
    device       its kind: cpu, cuda
    versions     of torch and torchvision
"""

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from satl.config import Experiment, Known, Model, Training
from satl.core.files import digest
from satl.core.strict import result_affecting
from satl.runs.code import code_digest
from satl.runs.layout import RunKey

Fingerprint = dict[str, Any]

LIBRARIES = ("torch", "torchvision")
# Reached from the loop, but they store, wait and report: no digit depends on how they do it.
KEEPING_ONLY = (
    "satl.runs",
    "satl.download",
    "satl.training.context",
    "satl.training.recording",
    "satl.training.checkpoint",
    "satl.training.history",
    "satl.training.best_weights",
    "satl.training.model_file",
    "satl.training.stopping",
    "satl.training.lease",
)


def settings(
    code: str,
    method: str,
    options: Mapping[str, Any],
    model: Model,
    training: Training,
    known: Mapping[str, Any],
    seed: int,
    validation: float,
) -> Fingerprint:
    """The part of a fingerprint that is known before anything has been made.

    Args:
        code: from `training_code`.
        method: its registered name.
        options: all of its options.
        model, training: sections of the experiment file.
        known: from `known_settings`.
        seed: of the run.
        validation: share of the training images that is held out.
    """
    return {
        "code": code,
        "method": method,
        "options": dict(options),
        "model": _paths_aside(result_affecting(model)),
        "training": result_affecting(training),
        **known,
        "seed": seed,
        "validation": validation,
    }


def known_settings(known: Known, observe: Mapping[str, Any]) -> dict[str, Any]:
    """What decides which labels are known: a ratio and its seed, or settings of another kind.

    What an entry of `observe` is called does not count.

    Args:
        known: the known ratio, or the entry's name.
        observe: the settings of the observation, its seed filled in.
    """
    if isinstance(known, str):
        return {"observe": _paths_aside(dict(observe))}
    return {"known_ratio": known, "mask_seed": observe["seed"]}


def asked_settings(experiment: Experiment, key: RunKey) -> Fingerprint:
    """What an experiment file says of a run, without code: to compare a recorded run with."""
    entry = experiment.trained[key.method]
    observe = experiment.observation(key.known_ratio).model_dump(mode="json")
    asked = settings(
        "", entry.method, entry.options, experiment.model,
        experiment.training_of(key.method),
        known_settings(key.known_ratio, observe), key.seed, experiment.validation,
    )  # fmt: skip
    return {name: value for name, value in asked.items() if name != "code"}


def _paths_aside(section: dict[str, Any]) -> dict[str, Any]:
    """Where a file lies does not count; its content is among the inputs."""
    return {
        key: "(a file)" if isinstance(value, str) and set(value) & set("/\\") else value
        for key, value in section.items()
    }


def training_code(module: str) -> str:
    """Digest of the code behind a run of the method that `module` holds."""
    roots = ("satl.training.engine:train", "satl.data.embeddings", module)
    return code_digest(*roots, without=KEEPING_ONLY)


def library_versions() -> dict[str, str | None]:
    """Versions of the libraries that compute; None: not installed where this is asked."""
    return {name: _version(name) for name in LIBRARIES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def name_of(fingerprint: Fingerprint) -> str:
    """A short name of a fingerprint, for folders and for Snakemake's params."""
    return digest(fingerprint)


def differences(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What keeps a recorded result from being used: lines such as `training.epochs: 6, not 20`.

    A setting that the record lacks did not exist when it was made; it counts as its default, so
    that a new key leaves old results valid. Parts that `wanted` does not have are not compared.

    Args:
        recorded: the fingerprint of a result.
        wanted: the fingerprint that is asked for, or its `settings` alone.
    """
    found, asked = flatten(recorded), flatten(wanted)
    known = {**_defaults(), **found}
    lines = []
    for key, value in asked.items():
        if key not in known:
            lines.append(f"{key}: not recorded, now {value!r}")
        elif known[key] != value:
            lines.append(f"{key}: {known[key]!r} there, now {value!r}")
    return lines


def _defaults() -> dict[str, Any]:
    sections = {"model": result_affecting(Model()), "training": result_affecting(Training())}
    return flatten({**sections, "mask_seed": 0, "validation": 0.0})


def recorded_fingerprint(folder: Path) -> Fingerprint | None:
    """The fingerprint of the run in `folder`; None where there is no finished run."""
    path = Path(folder, "run.json")
    if not path.is_file():
        return None
    return json.loads(path.read_text(encoding="utf-8")).get("fingerprint")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys: {'a': {'b': 1}} -> {'a.b': 1}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
