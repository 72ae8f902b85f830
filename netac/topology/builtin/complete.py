"""Every agent hears every other."""

from __future__ import annotations

import numpy as np

from netac.topology.edges import EdgeGraph, from_edges

PERIOD = 1


def graph(t: int, n: int) -> EdgeGraph:
    """K_n: n (n - 1) / 2 edges."""
    return from_edges(n, np.triu_indices(n, 1))


def edges(n: int) -> float:
    """How many edges there are."""
    return n * (n - 1) / 2
