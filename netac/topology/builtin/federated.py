"""A server averages all agents at every `period`-th iteration; in between they work alone."""

from __future__ import annotations

import networkx as nx

from netac.topology.builtin import periodic_complete

WEIGHTS = "uniform"

period, edges = periodic_complete.period, periodic_complete.edges


def graph(t: int, n: int, *, period: periodic_complete.Period = 5) -> nx.Graph:
    """The periodic complete graph; with weights 1/N its step is the central server's averaging (CAC paper)."""
    return periodic_complete.graph(t, n, period=period)
