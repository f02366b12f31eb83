"""What decides which labels are known: one entry of `observe` in the experiment file.

A kind is one file in this folder with one subclass of `Observation`. Configs are also read where
there is no NumPy, so import it in methods.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from satl.core.errors import UserError
from satl.core.strict import Strict

if TYPE_CHECKING:
    import numpy as np

    from satl.data.table import LabelTable


class Observation(Strict, ABC):
    """One way in which some of the labels are known; `kind` is a Literal of the file's name."""

    # Whether fewer images have as large a share of their labels known.
    keeps_shares: ClassVar[bool] = True
    # Whether the mask depends on sizes and places of objects, which only some formats have.
    needs_objects: ClassVar[bool] = False

    kind: str

    @abstractmethod
    def mask(self, table: "LabelTable") -> "np.ndarray":
        """(N, C) bool, True where the label of `table` is known to training.

        Raises:
            UserError: `table` is not one that this kind can be applied to.
        """

    def with_seed(self, mask_seed: int) -> "Observation":
        """The same, with `mask_seed` of the experiment where it has no seed of its own."""
        return self

    def observe(self, table: "LabelTable", name: float | str) -> "LabelTable":
        """What training is told of `table`: its labels where they are known, else 0.

        Args:
            table: the labels as annotated, which may have unknown ones of their own.
            name: the known ratio, or what the config calls this entry of `observe`.

        Returns:
            The observed table; its `info` records how it was made, the realised ratio and the
            mask's hash.

        Raises:
            UserError: `table` is a split already, or no positive label is left to learn from.
        """
        import hashlib
        from dataclasses import replace

        import numpy as np

        table.check_is_ground_truth("the table to be split")
        known = self.mask(table) & (table.labels != 0)
        observed = np.where(known, table.labels, 0).astype(np.int8)
        if not (observed > 0).any():
            raise UserError(
                f"{table.folder}: an empty split: none of {len(table.file_names)} images keeps a "
                f"positive label with {self}; have more labels known"
            )
        info = {
            **table.info,
            "known_ratio": name,
            "observe": self.model_dump(mode="json"),
            "realised_known_ratio": float(known.mean()),
            "seed": getattr(self, "seed", None),
            "mask_sha256": hashlib.sha256(np.packbits(known).tobytes()).hexdigest(),
        }
        return replace(table, labels=observed, info=info, objects=None)

    def inputs(self) -> list[str]:
        """The configured files that `mask` needs beside the table."""
        return []


class DrawnObservation(Observation):
    """A kind that chooses labels by chance."""

    seed: int | None = Field(
        None, ge=0, lt=2**32, description="of the mask; none: `mask_seed` of the experiment"
    )

    def with_seed(self, mask_seed: int) -> "DrawnObservation":
        """The same, with `mask_seed` where `seed` is none."""
        return self if self.seed is not None else self.model_copy(update={"seed": mask_seed})

    @property
    def drawn_with(self) -> int:
        """The seed. Raises ValueError where it is still open (`with_seed`)."""
        if self.seed is None:
            raise ValueError(f"{self.kind}: the seed is not known yet")
        return self.seed
