"""State_dicts of backbones: read from files, and loaded by name or by order."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from satl.core.errors import UserError
from satl.core.files import existing

SHOWN = 5  # names of parameters in an error


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a state_dict (.safetensors, or what `torch.save` writes).

    Raises:
        UserError: no such file, or it holds something else.
    """
    existing(path, "weights file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # errors on foreign files have no common type
        raise UserError(f"{path}: not a PyTorch state_dict ({error})") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path}: not a PyTorch state_dict of tensors")
    return state


def load_by_name(
    stages: nn.Module, weights: Mapping[str, Tensor], whole: Iterable[str], name: str
) -> None:
    """Load `weights` of a whole classification network into its stages, shapes checked.

    Args:
        stages: changed in place.
        weights, whole, name: see `matched`.

    Raises:
        UserError: it names what is missing, what is unknown, and what has another shape.
    """
    own = stages.state_dict()
    shapes = {key: value.shape for key, value in own.items()}
    stages.load_state_dict({**own, **matched(own, weights, whole, name, shapes)})


def matched(
    own: Iterable[str],
    weights: Mapping[str, Tensor],
    whole: Iterable[str],
    name: str,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, Tensor]:
    """Those of the `weights` of a whole classification network that its feature part has.

    Names count up to `.` against `_`: as stages, timm's `stages.0` is called `stages_0`. Weights of
    the classifier are ignored, and so is a missing `num_batches_tracked`.

    Args:
        own: the names of the feature part.
        weights: the state_dict.
        whole: all names in the state_dict of the whole network.
        name: of the backbone, for errors.
        shapes: that the weights must have, by names of `own`; None: any.

    Returns:
        By the names of `own`.

    Raises:
        UserError: it names what is missing, what is unknown, and what has another shape.
    """
    given = {_plain(key): value for key, value in weights.items()}
    known = {_plain(key) for key in whole}
    found = {key: given[_plain(key)] for key in own if _plain(key) in given}
    missing = [key for key in own if key not in found]
    problems = {
        "missing": [key for key in missing if not key.endswith("num_batches_tracked")],
        "unknown": [key for key in weights if _plain(key) not in known],
        "of another shape": [
            f"{key} {tuple(found[key].shape)}, not {tuple(shape)}"
            for key, shape in (shapes or {}).items()
            if key in found and found[key].shape != shape
        ],
    }
    if any(problems.values()):
        said = "; ".join(f"{what}: {_some(keys)}" for what, keys in problems.items() if keys)
        raise UserError(f"model.weights: not weights of backbone {name!r}: {said}")
    return found


def renamed_by_order(weights: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weights` under the names of `like`, for the same network written with other names.

    Both list their parameters in the order of computation, `num_batches_tracked` apart. Equal
    shapes one by one do not prove the same network: compare the outputs once for each source.

    Raises:
        UserError: number or shapes differ.
    """
    ours = [key for key in like if not key.endswith("num_batches_tracked")]
    theirs = [key for key in weights if not key.endswith("num_batches_tracked")]
    if len(ours) != len(theirs):
        raise UserError(f"model.weights: {len(theirs)} tensors, where the network has {len(ours)}")
    for mine, other in zip(ours, theirs, strict=True):
        if like[mine].shape != weights[other].shape:
            raise UserError(
                f"model.weights: {other} {tuple(weights[other].shape)} stands where the network "
                f"has {mine} {tuple(like[mine].shape)}"
            )
    return {mine: weights[other] for mine, other in zip(ours, theirs, strict=True)}


def _plain(key: str) -> str:
    return key.replace("_", ".")


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
