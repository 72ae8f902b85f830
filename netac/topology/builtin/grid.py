"""A rectangle of rows x columns; agents hear those left, right, above and below."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import Field

from netac.topology.edges import EdgeGraph, from_edges
from netac.utils.errors import InputError

PERIOD = 1


def graph(t: int, n: int, *, rows: Annotated[int, Field(ge=0)] = 0) -> EdgeGraph:
    """Grid graph, agent r * columns + c at (r, c); `rows` = 0 takes the rectangle nearest to a square.

    Raises:
        InputError: `rows` does not divide n, or rows = 0 and n is a prime above 3.
    """
    i = np.arange(n).reshape(sides(n, rows, "grid"))
    return from_edges(n, (i[:, :-1].ravel(), i[:, 1:].ravel()), (i[:-1].ravel(), i[1:].ravel()))


def edges(n: int) -> float:
    """How many edges there are, at most."""
    return 2.0 * n


def sides(n: int, rows: int, family: str) -> tuple[int, int]:
    """(rows, columns) of the rectangle with n places.

    Raises:
        InputError: as `graph`.
    """
    wanted = rows or max(r for r in range(1, math.isqrt(n) + 1) if n % r == 0)
    if n % wanted:
        raise InputError(f"a {family} of {rows} rows does not exist for {n} agents", key="rows", found=rows,
                         valid="a divisor of the number of agents")
    if rows == 0 and wanted == 1 and n > 3:
        raise InputError(f"a {family} does not exist for {n} agents, which is a prime number",
                         valid="another number of agents, or rows = 1 for a single line")
    return wanted, n // wanted
