"""The memory of a training on a CPU: kept from step to step."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # bytes; glibc refuses more
KEPT_BYTES = 2**30


def keep_freed_memory() -> None:
    """Let this process reuse what it frees, instead of giving it back to the system.

    Tensors of some hundred kilobytes are otherwise mapped anew again and again, at a page fault
    for each of their pages: some hundreds in a step of the embedded run. Does nothing where the C
    library is not glibc, whose setting it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
