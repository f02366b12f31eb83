"""The size of images where the experiment file leaves it out: that of the network's own weights.

The published protocol's (satl/config/training.py) is for the published network and its relatives.
"""

import math
from typing import Any

from satl.config.catalogue import IMAGENET_WEIGHTS

# Torchvision's, and the embedded one; all others are timm's.
PUBLISHED = ("tiny", *IMAGENET_WEIGHTS)


def with_input_size(content: Any) -> Any:
    """An experiment file whose `training` says `image_size` and `resize`, if timm must be asked.

    Args:
        content: as read, not checked yet.

    Raises:
        ValueError: timm would have to be asked, and is not installed here.
    """
    model, training = (_section(content, name) for name in ("model", "training"))
    backbone = model.get("backbone")
    if not isinstance(backbone, str) or backbone in PUBLISHED:
        return content
    if {"image_size", "resize"} <= training.keys():
        return content
    return {**content, "training": {**_sizes(backbone, training.get("image_size")), **training}}


def _section(content: Any, name: str) -> dict[str, Any]:
    section = content.get(name) if isinstance(content, dict) else None
    return section if isinstance(section, dict) else {}


def _sizes(backbone: str, image_size: Any) -> dict[str, int]:
    """What timm says of its network; nothing if it has none of this name."""
    try:
        import timm  # takes seconds, so only where it is needed
    except ImportError as error:
        raise ValueError(
            f"training.image_size and training.resize: give both; {backbone} is a network of "
            "timm's, and the Python that reads this file has no timm to ask for its own sizes"
        ) from error
    try:
        config = timm.get_pretrained_cfg(backbone.removeprefix("timm/"))
    except RuntimeError:  # there are no weights of this name, as `satl check` says
        config = None
    if config is None:
        return {}
    side = image_size if isinstance(image_size, int) else config.input_size[-1]
    return {"image_size": side, "resize": max(side, math.floor(side / config.crop_pct))}
