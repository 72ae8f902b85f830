"""The graph's own weights: W_ij is the edge attribute `weight` of the edge through which i hears j."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from netac.topology.edges import EdgeGraph, Graph, as_networkx, links, weight_matrix
from netac.topology.labels import agent, edge, is_from_file, labels_of
from netac.utils.errors import InputError

if TYPE_CHECKING:
    pass


def weights(graph: Graph) -> csr_array:
    """W from attributes; it is taken as it stands, the certificate says whether it is doubly stochastic.

    The undirected edge {i, j} gives W_ij = W_ji.  The directed edge j -> i, along which i hears j, gives W_ij alone.
    W_ii is agent i's node attribute `self_weight` where it has one, else 1 minus the rest of its row.

    Raises:
        InputError: an edge without a weight, or a weight that is not a finite number.
    """
    if isinstance(graph, EdgeGraph) and graph.weight is not None:
        hearer, heard = links(graph)
        return weight_matrix(len(graph), hearer, heard, np.full(len(hearer), graph.weight))
    graph = as_networkx(graph)
    n, labels = len(graph), labels_of(graph)
    missing = next(((u, v) for u, v, w in graph.edges(data="weight") if w is None), None)
    if missing is not None:
        which = edge(*missing, labels)
        raise InputError(f"the weight rule 'file' needs a number `weight` on every edge, and {which} has none",
                         valid=f"a weight on every edge, or {without_weights(graph)}")
    values = [_number(w, partial(edge, u, v, labels), "weight") for u, v, w in graph.edges(data="weight")]
    hearer, heard = links(graph)
    per_link = np.array(values if graph.is_directed() else values + values, dtype=np.float64)
    diagonal = 1.0 - np.bincount(hearer, weights=per_link, minlength=n)
    for node, own in graph.nodes(data="self_weight"):
        if own is not None:
            diagonal[node] = _number(own, partial(agent, node, labels), "self_weight")
    return weight_matrix(n, hearer, heard, per_link, diagonal)


def without_weights(graph: Graph) -> str:
    """What there is instead of the edges' own weights, in a message's words."""
    if not graph.is_directed():
        return 'weights = "metropolis"'
    return ("directed = false" if is_from_file(graph) else "an undirected graph") + ' with weights = "metropolis"'


def _number(value: object, where: Callable[[], str], attribute: str) -> float:
    """The attribute as a float; `where` is called for the words of a message."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise InputError(f"`{attribute}` of {where()} is not a finite number", found=value)
    return float(value)
