"""Agent 0 in the middle, every other agent hears only it."""

from __future__ import annotations

import numpy as np

from netac.topology.edges import EdgeGraph, from_edges

PERIOD = 1


def graph(t: int, n: int) -> EdgeGraph:
    """K_{1, n-1}."""
    return from_edges(n, (np.zeros(n - 1, dtype=np.int64), np.arange(1, n)))
