"""Everybody talks to everybody at every `every`-th iteration and nobody to anybody in between.

    netac graph graphs/periodic_complete.py --agents 5

The built-in periodic-complete does the same; here it is to be changed, for instance into a star at every 5th iteration.
"""

from typing import Annotated

import networkx as nx
from pydantic import Field


def graph(t: int, n: int, *, every: Annotated[int, Field(ge=1)] = 5) -> nx.Graph:
    """All n (n - 1) / 2 edges at t = every - 1, 2 every - 1, ..."""
    return nx.complete_graph(n) if t % every == every - 1 else nx.empty_graph(n)


def period(n: int, *, every: int) -> int:
    """`period` may take any of graph's options; it is given the same values."""
    return every
