"""A ring and one chord through it that turns by one agent at every iteration: a function of t and n.

    netac graph graphs/turning_chord.py --agents 5
    netac run examples/coordination.toml --set topology=graphs/turning_chord.py

A topology file needs only the function `graph(t, n)`.  What follows the * are options, which an experiment sets by
name: topology = { path = "graphs/turning_chord.py", reach = 3 }.
"""

from typing import Annotated

import networkx as nx
from pydantic import Field


def graph(t: int, n: int, *, reach: Annotated[int, Field(ge=1)] = 2) -> nx.Graph:
    """The graph of iteration t = 0, 1, ... on the agents 0..n-1."""
    here = nx.path_graph(n)                  # 0 - 1 - ... - (n-1)
    if n > 2:
        here.add_edge(n - 1, 0)              # ... and round
    start, end = t % n, (t + reach) % n
    if start != end:                         # agents always hear themselves: a graph has no self loops
        here.add_edge(start, end)
    return here


def period(n: int) -> int:
    """graph(t) is graph(t mod n).  Without this function the topology counts as aperiodic, which is allowed too."""
    return n
