"""A mask out of a file: the labels that somebody else had."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from satl.core.errors import UserError
from satl.data.observe.base import Observation

if TYPE_CHECKING:
    import numpy as np

    from satl.data.table import LabelTable


class FileObservation(Observation):
    """The labels that a file of `satl split --mask-out` names."""

    kind: Literal["file"] = "file"
    path: str = Field(min_length=1, description="the file; it must have all training images")
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{8,64}$", description="its digest, or the head of it, to be sure"
    )

    def inputs(self) -> list[str]:
        """The file."""
        return [self.path]

    def mask(self, table: "LabelTable") -> "np.ndarray":
        """What the file says of the table's images, once the digest is found to be right."""
        from satl.data.masks import Mask

        path = Path(self.path)
        mask = Mask.load(path)
        if self.sha256 and not mask.digest().startswith(self.sha256):
            raise UserError(f"{path}: its digest is {mask.digest()}, not {self.sha256}")
        return mask.of_images(table, path).known
