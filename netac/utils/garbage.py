"""Python's collector of cycles, kept from looking through what stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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


def no_more() -> None:
    """The program ends: the interpreter, which looks for cycles once more as it does, finds none."""
    gc.freeze()
