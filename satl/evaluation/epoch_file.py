"""A file of arrays per epoch, of which an evaluation keeps the epochs that count.

The scores of every epoch are most of what a run leaves: 257 MB for COCO's test images in 20
epochs. Tables, figures and MLflow need those of the selected epochs. Of the others they need the
values that were computed from them, one per epoch: those stay in the same file, so that a run can
be evaluated again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satl.core.errors import UserError
from satl.core.files import link_files, write_arrays
from satl.runs.store import stored_at

VALUE = "every_epoch_"  # begins the names of arrays of one value per epoch
JUDGED_BY = "judged_by"  # names the array with the digest of the labels they were computed with


class EpochFile:
    """The arrays of such a file.

    Args:
        file: in a run folder.
        arrays: by name.
        by_epoch: names of those whose first axis is the epoch; others have no epochs.
        labels: a digest of the labels that this evaluation compares them with.

    Raises:
        UserError: the file holds only the epochs that were selected with other labels.
    """

    def __init__(
        self, file: Path, arrays: Mapping[str, NDArray], by_epoch: Sequence[str], labels: str
    ) -> None:
        self.file, self.arrays, self.labels = file, dict(arrays), labels
        self.by_epoch = [name for name in by_epoch if name in arrays]
        self.is_whole = JUDGED_BY not in arrays
        if not self.is_whole and str(arrays[JUDGED_BY]) != labels:
            folders = " and ".join(map(str, [file.parent, *filter(None, [stored_at(file.parent)])]))
            raise UserError(
                f"{file}: holds only the epochs that were selected with other labels than those "
                f"given; remove {folders}, and train again"
            )
        every = np.arange(1, len(arrays[self.by_epoch[0]]) + 1)
        self.epochs: list[int] = arrays.get("epochs", every).tolist()

    def of(self, name: str) -> dict[int, NDArray]:
        """The array `name` of each epoch that the file holds, by its number, from 1."""
        return dict(zip(self.epochs, self.arrays[name], strict=True))

    def values(
        self, compute: Callable[[], Mapping[str, Sequence[float]]]
    ) -> Mapping[str, Sequence[float]]:
        """Values of every epoch by name: computed, or read where epochs are gone."""
        if self.is_whole:
            return compute()
        return {
            name.removeprefix(VALUE): array.tolist()
            for name, array in self.arrays.items()
            if name.startswith(VALUE)
        }

    def keep(
        self,
        epochs: Collection[int],
        values: Mapping[str, Sequence[float]],
        drop: Sequence[str] = (),
        **more: NDArray,
    ) -> None:
        """Replace the file, where it is whole, by one of these epochs alone.

        Args:
            epochs: to be kept, numbers from 1.
            values: of every epoch.
            drop: arrays that are not needed again.
            more: arrays that take their place.
        """
        if not self.is_whole:
            return
        rows = [row for row, epoch in enumerate(self.epochs) if epoch in epochs]
        kept = {name: array for name, array in self.arrays.items() if name not in drop}
        kept |= {name: self.arrays[name][rows] for name in self.by_epoch}
        kept |= {f"{VALUE}{name}": np.array(value, float) for name, value in values.items()}
        kept |= {"epochs": np.array(self.epochs)[rows], JUDGED_BY: np.array(self.labels)}
        folder, stored = self.file.parent, stored_at(self.file.parent)
        # The store first: while the run folder's file is whole, this can be done again.
        write_arrays((stored or folder) / self.file.name, **kept, **more)
        if stored:
            link_files(stored, folder, [self.file.name])
