"""Python's collector of cycles, kept from looking through what stays; and freed memory, kept for what comes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from netac.utils.libc import function

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3      # of glibc's mallopt(3)
KEPT = 2**25                                     # bytes of freed memory that stay, and of blocks that are taken from it


@contextmanager
def loading() -> Iterator[None]:
    """Within it modules are loaded, and no cycles of garbage are looked for, of which loading leaves next to none; what
    is loaded is not looked through later, either."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def iterating() -> Iterator[None]:
    """Within it a run iterates: what was there before is not looked through, and freed memory is kept.

    Full collections would go through every object of torch and its like (4% of the time of a trainer with small
    networks), and glibc would hand the memory of every large array back to the system, to be given new pages, one by
    one, with the next one.
    """
    _keep_freed()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _keep_freed() -> None:
    """Let glibc keep some megabytes of freed memory; other C libraries do as they please."""
    mallopt = function("mallopt")
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT)
        mallopt(M_TRIM_THRESHOLD, 2 * KEPT)


def no_more() -> None:
    """The program ends: the interpreter, which looks for cycles once more as it does, finds none."""
    gc.freeze()
