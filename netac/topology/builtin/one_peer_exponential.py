"""One directed edge each: at t agent i sends to i + 2^(t mod ceil(log2 n)) (mod n) with weight 1/2; W = (I + P) / 2."""

from __future__ import annotations

import numpy as np

from netac.topology.edges import EdgeGraph, from_edges

WEIGHTS = "file"


def graph(t: int, n: int) -> EdgeGraph:
    """The shift by 2^k, k = t mod ceil(log2 n); for n = 2^k one period of them averages exactly."""
    i = np.arange(n)
    return from_edges(n, (i, (i + (1 << t % period(n))) % n), directed=True, weight=0.5)


def period(n: int) -> int:
    """ceil(log2 n), and 1 for n = 1."""
    return max(1, (n - 1).bit_length())
