"""Weights of a file that are doubly stochastic but for the digits they were saved with."""

from __future__ import annotations

import networkx as nx
import numpy as np

from netac.topology.edges import links
from netac.topology.stochastic import TOLERANCE
from netac.topology.weights import file
from netac.utils.errors import InputError

ROUNDING = 1e-6
"""How far from 1 the rows and columns of a file's W may sum: single precision, or seven digits in a text."""
_SWEEPS, _EXACT = 10_000, 1e-15


def without_rounding(graph: nx.Graph, rounding: float) -> None:
    """Makes weights whose rows and columns sum to 1 up to `rounding` sum to 1 in double precision, in the graph itself.

    An undirected graph keeps its edges' weights, and the agents' own take up the rest.  Of a directed one rows and
    columns are scaled in turn (Sinkhorn and Knopp 1967).  Weights that are none, exact, or further off, stay.
    """
    try:
        own = file.weights(graph).diagonal()
    except InputError:      # whoever asks for the weights will be told
        return
    hearer, heard = links(graph)
    edges = np.array([weight for _, _, weight in graph.edges(data="weight")], dtype=np.float64)
    n, agents = len(graph), np.arange(len(graph))
    rows, columns = np.concatenate([hearer, agents]), np.concatenate([heard, agents])
    values = np.concatenate([edges if graph.is_directed() else np.tile(edges, 2), own])

    def sums(index: np.ndarray) -> np.ndarray:
        return np.bincount(index, weights=values, minlength=n)

    def error() -> float:
        return max(float(np.abs(sums(index) - 1).max()) for index in (rows, columns))

    if not TOLERANCE < error() <= rounding or edges.min(initial=0) < 0 or own.min() <= rounding:
        return
    if graph.is_directed():
        for _ in range(_SWEEPS):
            values /= sums(rows)[rows]
            values /= sums(columns)[columns]
            if error() <= _EXACT:
                break
        edges, own = values[:-n], values[-n:]
    else:
        own = 1.0 - np.bincount(hearer, weights=values[:-n], minlength=n)
    nx.set_edge_attributes(graph, dict(zip(graph.edges, edges.tolist(), strict=True)), "weight")
    nx.set_node_attributes(graph, dict(enumerate(own.tolist())), "self_weight")
