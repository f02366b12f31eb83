"""Independent random streams derived from one seed and a purpose, e.g. (0, "epoch", 3)."""

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that depends on `seed` and every part of `purpose`, and on nothing else.

    Streams of different purposes do not overlap, so that, say, one more draw in a method
    cannot shift the augmentation of the images.
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
