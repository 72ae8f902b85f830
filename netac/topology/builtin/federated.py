"""A server averages all agents at every `period`-th iteration; in between they work alone."""

from __future__ import annotations

from netac.topology.builtin import periodic_complete
from netac.topology.edges import EdgeGraph

WEIGHTS = "uniform"

period, edges = periodic_complete.period, periodic_complete.edges


def graph(t: int, n: int, *, period: periodic_complete.Period = 5) -> EdgeGraph:
    """The periodic complete graph; with weights 1/N its step is the central server's averaging (CAC paper)."""
    return periodic_complete.graph(t, n, period=period)
