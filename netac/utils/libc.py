"""Functions of the C library that not every system has."""

from __future__ import annotations

from typing import Any


def function(name: str) -> Any:
    """The function of that name, as ctypes calls it; None where there is none."""
    try:
        import ctypes
        return getattr(ctypes.CDLL(None), name)
    except (ImportError, OSError, AttributeError):
        return None
