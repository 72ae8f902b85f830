"""Agents are the corners of a cube in log2(n) dimensions: i hears those whose number differs from i in one bit."""

from __future__ import annotations

import numpy as np

from netac.topology.edges import EdgeGraph, from_edges
from netac.utils.errors import InputError

PERIOD = 1


def graph(t: int, n: int) -> EdgeGraph:
    """Q_k with n = 2^k.

    Raises:
        InputError: n is not a power of two.
    """
    if n & (n - 1):
        raise InputError(f"a hypercube does not exist for {n} agents", valid="a power of two: 1, 2, 4, 8, ...")
    i = np.arange(n)
    return from_edges(n, *((i, i ^ (1 << bit)) for bit in range(n.bit_length() - 1)))


def edges(n: int) -> float:
    """How many edges there are."""
    return n * (n.bit_length() - 1) / 2
