"""Agents at random places in the unit square; those within a radius hear each other; drawn again until connected."""

from __future__ import annotations

import math
from typing import Annotated

import networkx as nx
from pydantic import Field

from netac.topology.builtin._random import connected_draw

PERIOD = 1


def graph(t: int, n: int, *, radius: Annotated[float, Field(gt=0)] = 0.4,
          seed: Annotated[int, Field(ge=0)] = 0) -> nx.Graph:
    """Random geometric graph given that it is connected; the places are the node attribute `pos`.

    Raises:
        InputError: no connected graph in 1,000 draws.
    """
    return connected_draw(lambda stream: nx.random_geometric_graph(n, radius, seed=stream), seed,
                          f"a larger radius than {radius}")


def edges(n: int, *, radius: float) -> float:
    """About how many edges are expected."""
    return min(1.0, math.pi * radius**2) * n * (n - 1) / 2
