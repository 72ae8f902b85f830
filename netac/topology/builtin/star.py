"""Agent 0 in the middle, every other agent hears only it."""

from __future__ import annotations

import networkx as nx

PERIOD = 1


def graph(t: int, n: int) -> nx.Graph:
    """K_{1, n-1}."""
    return nx.star_graph(n - 1)
