"""Rows of single-precision numbers that begin at a multiple of 64 bytes, whichever agent's they are.

Kernels of a matrix and one vector round differently for differently placed operands, so that an agent's numbers would
otherwise depend on the row it has in its process.
"""

from __future__ import annotations

import numpy as np

BOUNDARY = 64                           # bytes
NUMBERS = BOUNDARY // 4


def aligned(agents: int, width: int) -> np.ndarray:
    """Zeros (agents, width) whose rows begin at multiples of 64 bytes."""
    padded = -(-width // NUMBERS) * NUMBERS
    raw = np.zeros(agents * padded + NUMBERS, dtype=np.float32)
    first = -address(raw) % BOUNDARY // 4
    return raw[first:first + agents * padded].reshape(agents, padded)[:, :width]


def is_aligned(rows: np.ndarray) -> bool:
    """Whether the rows (n, width) are single precision and begin at multiples of 64 bytes."""
    return (rows.dtype == np.float32 and address(rows) % BOUNDARY == 0 and rows.strides[1] == 4 and rows.flags.writeable
            and (len(rows) == 1 or rows.strides[0] % BOUNDARY == 0))


def is_ready(array: np.ndarray) -> bool:
    """Whether an array is single precision without gaps and begins at a multiple of 64 bytes."""
    return array.dtype == np.float32 and array.flags.c_contiguous and address(array) % BOUNDARY == 0


def same_storage(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays that both exist are the same numbers in memory."""
    return one is other or (address(one) == address(other) and one.strides == other.strides and one.shape == other.shape
                            and one.dtype == other.dtype)


def address(array: np.ndarray) -> int:
    """Where its first number lies."""
    return array.__array_interface__["data"][0]
