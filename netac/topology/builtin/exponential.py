"""The static exponential graph: agent i hears i + 2^k and i - 2^k (mod n) for every 2^k < n."""

from __future__ import annotations

import numpy as np

from netac.topology.edges import EdgeGraph, from_edges

PERIOD = 1


def graph(t: int, n: int) -> EdgeGraph:
    """About 2 log2(n) neighbours for each agent, and a spectral gap of order 1 / log n."""
    i = np.arange(n)
    return from_edges(n, *((i, (i + (1 << k)) % n) for k in range((n - 1).bit_length())))


def edges(n: int) -> float:
    """How many edges there are, at most."""
    return n * (n - 1).bit_length()
