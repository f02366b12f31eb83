"""Holding out training images, so that their known labels can choose an epoch or an option."""

from dataclasses import replace

import numpy as np

from satl.core.errors import UserError
from satl.core.seeds import derive_seed
from satl.data.table import LabelTable


def hold_out(table: LabelTable, share: float) -> tuple[LabelTable, LabelTable]:
    """The images that stay in training, and those held out, both in the table's order.

    Which images are held out depends on their number and `share` alone: as with test images, they
    are the same for all methods, known ratios and seeds.

    Args:
        table: the training images.
        share: of them, in (0, 1).

    Raises:
        UserError: one of the two would be empty.
    """
    images = len(table.file_names)
    count = round(share * images)
    if not 0 < count < images:
        raise UserError(
            f"{table.folder}: a share of {share:g} of {images} images holds out {count}; choose "
            "another `validation`"
        )
    shuffled = np.random.default_rng(derive_seed(0, "held-out images")).permutation(images)
    held_out, kept = np.sort(shuffled[:count]), np.sort(shuffled[count:])
    info = {**table.info, "validation": share}
    return replace(table.select(kept), info=info), replace(table.select(held_out), info=info)
