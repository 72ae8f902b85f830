"""No edges at all: agents on their own (needs allow_disconnected = true)."""

from __future__ import annotations

from netac.topology.edges import EdgeGraph, from_edges

PERIOD = 1


def graph(t: int, n: int) -> EdgeGraph:
    """n isolated nodes, W = I."""
    return from_edges(n)


def edges(n: int) -> float:
    """None."""
    return 0.0
