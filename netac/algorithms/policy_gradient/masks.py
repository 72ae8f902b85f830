"""Masks of the samples in which an agent took part: numbers and means without the other samples."""

from __future__ import annotations

import numpy as np


def kept(x: np.ndarray, active: np.ndarray | None = None) -> np.ndarray:
    """`x` in double precision, 0 (even for nan) where `active`, of a shape that broadcasts with it, is false."""
    x = np.asarray(x, dtype=float)
    return x if active is None else np.where(np.asarray(active, dtype=bool), x, 0.0)


def average(x: np.ndarray, active: np.ndarray | None = None) -> np.ndarray:
    """(..., M) -> (...): means along the last axis over the active samples, 0 where there are none.

    Rows are summed one by one, whatever their layout in memory, so that bits do not depend on which rows are together.
    """
    rows = np.ascontiguousarray(kept(x, active))
    count = rows.shape[-1] if active is None else np.broadcast_to(
        np.asarray(active, dtype=bool), rows.shape).sum(axis=-1)
    return rows.sum(axis=-1) / np.maximum(count, 1)
