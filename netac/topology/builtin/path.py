"""A line: agent i hears i - 1 and i + 1, the ends one neighbour each."""

from __future__ import annotations

import networkx as nx

PERIOD = 1


def graph(t: int, n: int) -> nx.Graph:
    """P_n: n - 1 edges, the slowest to mix of all connected graphs here."""
    return nx.path_graph(n)
