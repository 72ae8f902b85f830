"""Memory in the long run: what lives as long as a run does is not looked at again and again."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3      # of glibc's mallopt(3)
KEPT = 2**25                                     # bytes of freed memory that stay, and of blocks that are taken from it


@contextmanager
def settled() -> Iterator[None]:
    """While a run iterates, the collector of cycles leaves what was there before alone, and freed memory is kept.

    Python's collector would go through every object of torch and its like in each full collection (about 4% of the time
    of a trainer with small networks), and glibc would hand the memory of every large array back to the system, to be
    given new pages, one by one, with the next one.
    """
    keep_freed()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def keep_freed() -> None:
    """Let glibc keep some megabytes of freed memory; other C libraries do as they please."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, KEPT)
    mallopt(M_TRIM_THRESHOLD, 2 * KEPT)
