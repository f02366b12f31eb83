"""The checkpoint of a run: a folder whose name identifies config and code."""

from pathlib import Path
from typing import Any

import torch

from satl.core.errors import UserError
from satl.core.files import writing


class Checkpoint:
    """The last saved state of a run, in `state.pt` of its folder; epoch files lie beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "state.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state, all or nothing. Raises UserError if it cannot be written."""
        with writing(self.path) as temporary, open(temporary, "wb") as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:
                # PyTorch's writer hides the OSError of a full disk behind one of its own.
                cause = error.__cause__ or error.__context__
                if isinstance(cause, OSError):
                    raise cause from None
                raise UserError(
                    f"{self.path}: cannot be written; is the disk full? The last checkpoint stays "
                    f"as it was ({str(error).splitlines()[0]})"
                ) from error

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The saved state, its tensors on `device`; None where none is saved."""
        if not self.path.is_file():
            return None
        return torch.load(self.path, map_location=device, weights_only=True)
