"""Every agent hears every other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netac.topology.edges import PlainGraph

if TYPE_CHECKING:
    import networkx as nx

PERIOD = 1


def graph(t: int, n: int) -> nx.Graph:
    """K_n: n (n - 1) / 2 edges."""
    return plain(t, n).networkx()


def plain(t: int, n: int) -> PlainGraph:
    """The same, as arrays."""
    return PlainGraph(n, *np.triu_indices(n, 1))


def edges(n: int) -> float:
    """How many edges there are."""
    return n * (n - 1) / 2
