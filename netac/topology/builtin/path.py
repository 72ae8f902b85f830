"""A line: agent i hears i - 1 and i + 1, the ends one neighbour each."""

from __future__ import annotations

import numpy as np

from netac.topology.edges import EdgeGraph, from_edges

PERIOD = 1


def graph(t: int, n: int) -> EdgeGraph:
    """P_n: n - 1 edges, the slowest to mix of all connected graphs here."""
    i = np.arange(n)
    return from_edges(n, (i[:-1], i[1:]))
