"""One image file to an array. Imports no torch: the processes that decode start in a moment."""

from pathlib import Path

import numpy as np
from PIL import Image

from satl.core.errors import UserError


class Undecodable(UserError):
    """A file that is there and can be opened, but whose content is no whole image."""


def decode(path: Path, side: int | None = None) -> np.ndarray:
    """One image as RGB: (H, W, 3) uint8, resized to (side, side, 3) by bicubic interpolation.

    Raises:
        Undecodable: the file is truncated or not an image.
        UserError: the file is missing or cannot be opened.
    """
    try:
        with Image.open(path) as image:
            rgb = image.convert("RGB")
            if side is not None:
                rgb = rgb.resize((side, side), Image.Resampling.BICUBIC)
            return np.array(rgb)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such image file") from error
    except MemoryError:
        raise
    except Exception as error:  # what Pillow's many decoders raise on damaged data is anything
        # With an errno it is the file system that failed, not the content.
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{path}: cannot be opened ({error.strerror})") from error
        raise Undecodable(
            f"{path}: cannot be decoded ({error}); fetch this file again, or remove it from "
            "the annotations"
        ) from error
