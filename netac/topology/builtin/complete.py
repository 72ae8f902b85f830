"""Every agent hears every other."""

from __future__ import annotations

import networkx as nx

PERIOD = 1


def graph(t: int, n: int) -> nx.Graph:
    """K_n: n (n - 1) / 2 edges."""
    return nx.complete_graph(n)


def edges(n: int) -> float:
    """How many edges there are."""
    return n * (n - 1) / 2
