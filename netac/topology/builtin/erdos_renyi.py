"""Every pair of agents is an edge with one probability, independently; drawn again until connected."""

from __future__ import annotations

from typing import Annotated

import networkx as nx
from pydantic import Field

from netac.topology.builtin._random import connected_draw

PERIOD = 1


def graph(t: int, n: int, *, probability: Annotated[float, Field(gt=0, le=1)] = 0.3,
          seed: Annotated[int, Field(ge=0)] = 0) -> nx.Graph:
    """G(n, probability) given that it is connected.

    Raises:
        InputError: no connected graph in 1,000 draws.
    """
    return connected_draw(lambda stream: nx.fast_gnp_random_graph(n, probability, seed=stream), seed,
                          f"a larger probability than {probability}")


def edges(n: int, *, probability: float) -> float:
    """How many edges are expected."""
    return probability * n * (n - 1) / 2
