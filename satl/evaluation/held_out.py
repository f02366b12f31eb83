"""Images held out of training: how good a run is on what is known of their labels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satl.core.errors import UserError
from satl.data.table import LabelTable


def check_held_out(
    folder: Path, predictions: dict[str, NDArray], validation: LabelTable | None
) -> None:
    """Raises UserError unless the run in `folder` has predicted the images of `validation`.

    Args:
        folder: of the run, for messages.
        predictions: of the run.
        validation: the images held out, if any are.
    """
    found = predictions.get("validation_image_ids")
    given = None if validation is None else validation.image_ids
    if found is None and given is None:
        return
    if given is None:
        raise UserError(f"{folder}: images were held out of training; give their --validation")
    if found is None or not np.array_equal(found, given):
        raise UserError(f"{folder}: the run has predicted other held-out images than those given")
