"""Who is near whom: distances between agents in many games at once."""

from __future__ import annotations

import numpy as np

BLOCK = 2**20          # distances that are computed at a time


def near(positions: np.ndarray, radius: float) -> np.ndarray:
    """Which agents are at most `radius` apart (Euclidean): (E, N, N) bool, symmetric, nobody near itself.

    Every distance is that of two agents alone, whatever is beside them, and equal both ways.

    Args:
        positions: (N, E, d), where N agents are in E games, as `BatchedEnvironment.positions` gives it.
        radius: a distance of exactly so much is near.
    """
    N, E, d = positions.shape
    at = positions.transpose(2, 1, 0)
    found = np.empty((E, N, N), dtype=bool)
    step = max(1, BLOCK // max(1, E * N))
    with np.errstate(over="ignore", invalid="ignore"):           # those infinitely far apart are not near
        for first in range(0, N, step):
            squares = np.zeros((E, min(step, N - first), N))
            for along in range(d):
                apart = at[along, :, first:first + step, None] - at[along, :, None]
                apart *= apart
                squares += apart
            np.less_equal(np.sqrt(squares, out=squares), radius, out=found[:, first:first + step])
    everybody = np.arange(N)
    found[:, everybody, everybody] = False
    return found
