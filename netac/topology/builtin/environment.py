"""The environment's own graph: agents hear those whom the problem makes their neighbours."""

from __future__ import annotations

from netac.topology.edges import Graph
from netac.topology.parts import Neighbours


def graph(t: int, n: int, *, environment: Neighbours) -> Graph:
    """What the environment says at iteration t: its attribute `neighbours`, or the file that env.neighbours names."""
    return environment.at(t)


def period(n: int, *, environment: Neighbours) -> int | None:
    """1 where the graph is always the same; None where the environment has one for every t."""
    return environment.period
