"""A cycle: agent i hears i - 1 and i + 1 (mod n)."""

from __future__ import annotations

import numpy as np

from netac.topology.edges import EdgeGraph, from_edges

PERIOD = 1


def graph(t: int, n: int) -> EdgeGraph:
    """C_n; one edge for n = 2, none for n = 1."""
    i = np.arange(n)
    return from_edges(n, (i, (i + 1) % n))
