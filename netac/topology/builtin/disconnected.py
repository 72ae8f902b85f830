"""No edges at all: agents on their own (needs allow_disconnected = true)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netac.topology.edges import PlainGraph

if TYPE_CHECKING:
    import networkx as nx

PERIOD = 1


def graph(t: int, n: int) -> nx.Graph:
    """n isolated nodes, W = I."""
    return plain(t, n).networkx()


def plain(t: int, n: int) -> PlainGraph:
    """The same, as arrays."""
    none = np.empty(0, dtype=np.int64)
    return PlainGraph(n, none, none)


def edges(n: int) -> float:
    """None."""
    return 0.0
