"""The checkpoint of a run: a folder whose name identifies config and code."""

from pathlib import Path
from typing import Any

import torch

from satl.core.files import write_tensors


class Checkpoint:
    """The last saved state of a run, in `state.pt` of its folder; epoch files lie beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "state.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state, all or nothing. Raises UserError if it cannot be written."""
        write_tensors(self.path, state)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The saved state, its tensors on `device`; None where none is saved."""
        if not self.path.is_file():
            return None
        return torch.load(self.path, map_location=device, weights_only=True)
