"""Watts-Strogatz: a ring lattice some of whose edges are rewired at random; drawn again until connected."""

from __future__ import annotations

from typing import Annotated

import networkx as nx
from pydantic import Field

from netac.topology.builtin._random import connected_draw

PERIOD = 1


def graph(t: int, n: int, *, neighbours: Annotated[int, Field(ge=2, multiple_of=2)] = 4,
          rewire: Annotated[float, Field(ge=0, le=1)] = 0.2, seed: Annotated[int, Field(ge=0)] = 0) -> nx.Graph:
    """Each agent and its `neighbours` nearest on the ring (where there are no more agents: all), each edge moved with
    probability `rewire`.

    Raises:
        InputError: no connected graph in 1,000 draws.
    """
    if n <= neighbours + 1:
        return nx.complete_graph(n)
    return connected_draw(lambda stream: nx.watts_strogatz_graph(n, neighbours, rewire, seed=stream), seed,
                          f"more neighbours than {neighbours}")


def edges(n: int, *, neighbours: int) -> float:
    """How many edges there are."""
    return n * min(neighbours, n - 1) / 2
