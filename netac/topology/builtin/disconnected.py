"""No edges at all: agents on their own (needs allow_disconnected = true)."""

from __future__ import annotations

import networkx as nx

PERIOD = 1


def graph(t: int, n: int) -> nx.Graph:
    """n isolated nodes, W = I."""
    return nx.empty_graph(n)


def edges(n: int) -> float:
    """None."""
    return 0.0
