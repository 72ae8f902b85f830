"""A grid whose edges are glued together: every agent has the same neighbourhood."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from netac.topology.builtin.grid import sides
from netac.topology.edges import EdgeGraph, from_edges

PERIOD = 1


def graph(t: int, n: int, *, rows: Annotated[int, Field(ge=0)] = 0) -> EdgeGraph:
    """C_rows x C_columns, agent r * columns + c at (r, c); `rows` = 0 takes the rectangle nearest to a square.

    Raises:
        InputError: `rows` does not divide n, or rows = 0 and n is a prime above 3.
    """
    i = np.arange(n).reshape(sides(n, rows, "torus"))
    return from_edges(n, *((i.ravel(), np.roll(i, -1, axis).ravel()) for axis in (0, 1)))


def edges(n: int) -> float:
    """How many edges there are, at most."""
    return 2.0 * n
