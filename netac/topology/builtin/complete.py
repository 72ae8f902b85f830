"""Every agent hears every other."""

from __future__ import annotations

import networkx as nx

from netac.utils.errors import InputError

PERIOD = 1
LARGEST = 5000     # agents: 12 million edges, some gigabytes


def graph(t: int, n: int) -> nx.Graph:
    """K_n: n (n - 1) / 2 edges.

    Raises:
        InputError: the edges would not fit into memory.
    """
    if n > LARGEST:
        raise InputError("a complete graph of so many agents would not fit into memory", key="name", found=n,
                         valid=f"at most {LARGEST:,} agents, or a sparse topology such as ring")
    return nx.complete_graph(n)


def edges(n: int) -> float:
    """How many edges there are."""
    return n * (n - 1) / 2
