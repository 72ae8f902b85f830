"""Topologies made of other topologies."""

from __future__ import annotations

from functools import lru_cache

import networkx as nx
import numpy as np

from netac.topology.loading import load
from netac.topology.sequence import Topology


@lru_cache(maxsize=16)
def part(spec: str, n: int) -> Topology:
    """The topology of that name or absolute path for n agents, loaded once."""
    return load(spec, n, key="")


def part_graph(spec: str, n: int, t: int) -> nx.Graph:
    """That topology's graph at t; of a periodic one each graph is built once."""
    return _graph(spec, n, _phase(spec, n, t))


def part_edges(spec: str, n: int, t: int) -> np.ndarray:
    """That graph's edges in the order in which it lists them, (edges, 2) int64; read-only."""
    return _edges(spec, n, _phase(spec, n, t))


def _phase(spec: str, n: int, t: int) -> int:
    """The first iteration at which that topology's graph is the one at t, as far as its period tells."""
    period = part(spec, n).period
    return t if period is None else t % period


@lru_cache(maxsize=16)
def _graph(spec: str, n: int, t: int) -> nx.Graph:
    """The graph, frozen: it is handed out again."""
    return nx.freeze(part(spec, n).graph(t))


@lru_cache(maxsize=16)
def _edges(spec: str, n: int, t: int) -> np.ndarray:
    """The edges as one array."""
    edges = np.array(_graph(spec, n, t).edges(), dtype=np.int64).reshape(-1, 2)
    edges.flags.writeable = False
    return edges
