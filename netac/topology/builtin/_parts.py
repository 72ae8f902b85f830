"""Topologies made of other topologies."""

from __future__ import annotations

from functools import lru_cache

import networkx as nx

from netac.topology.loading import load
from netac.topology.sequence import Topology


@lru_cache(maxsize=16)
def part(spec: str, n: int) -> Topology:
    """The topology of that name or path for n agents, loaded once."""
    return load(spec, n)


def part_graph(spec: str, n: int, t: int) -> nx.Graph:
    """That topology's graph at t; of a periodic one each graph is built once."""
    period = part(spec, n).period
    return _graph(spec, n, t if period is None else t % period)


@lru_cache(maxsize=16)
def _graph(spec: str, n: int, t: int) -> nx.Graph:
    """The graph, frozen: it is handed out again."""
    return nx.freeze(part(spec, n).graph(t))
