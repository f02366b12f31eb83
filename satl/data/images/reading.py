"""One image file to an array. Imports no torch: the processes that decode start in a moment."""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from satl.core.errors import UserError


class Undecodable(UserError):
    """A file that is there and can be opened, but whose content is no whole image."""


def read_file(path: Path, expected: np.ndarray | None = None) -> bytes:
    """The bytes of an image file.

    Args:
        path: the file.
        expected: sha256 that they should have, as (32,) uint8; None: whatever they are.

    Raises:
        UserError: the file is missing, cannot be opened, or has other content than expected.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such image file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({error.strerror or error})") from error
    if expected is not None and hashlib.sha256(data).digest() != expected.tobytes():
        raise UserError(
            f"{path}: has changed since `satl images` read it. Put the former file back and run "
            "the same command again, or make all that depends on it anew: "
            "`snakemake --cores all --forcerun images`"
        )
    return data


def decode(path: Path, side: int | None = None, expected: np.ndarray | None = None) -> np.ndarray:
    """One image as RGB: (H, W, 3) uint8, resized to (side, side, 3) by bicubic interpolation.

    Raises:
        Undecodable: the file is truncated or not an image.
        UserError: the file is missing, cannot be opened or has changed (see `read_file`).
    """
    return decode_bytes(read_file(path, expected), path, side)


def decode_bytes(data: bytes, path: Path, side: int | None = None) -> np.ndarray:
    """The same for the content of a file; `path` only names it in errors."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            rgb = image.convert("RGB")
            if side is not None:
                rgb = rgb.resize((side, side), Image.Resampling.BICUBIC)
            return np.array(rgb)
    except MemoryError:
        raise
    except Exception as error:  # what Pillow's many decoders raise on damaged data is anything
        raise Undecodable(
            f"{path}: cannot be decoded ({error}); fetch this file again, or remove it from "
            "the annotations"
        ) from error
