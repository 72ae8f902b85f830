"""A cycle: agent i hears i - 1 and i + 1 (mod n)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netac.topology.edges import PlainGraph, undirected

if TYPE_CHECKING:
    import networkx as nx

PERIOD = 1


def graph(t: int, n: int) -> nx.Graph:
    """C_n; one edge for n = 2, none for n = 1."""
    return plain(t, n).networkx()


def plain(t: int, n: int) -> PlainGraph:
    """The same, as arrays."""
    i = np.arange(n)
    return undirected(n, i, (i + 1) % n)
