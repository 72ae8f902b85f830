"""The graph's own weights: W_ij is the edge attribute `weight` of the edge through which i hears j."""

from __future__ import annotations

import math
from numbers import Real

import networkx as nx
import numpy as np
from scipy.sparse import csr_array

from netac.topology.edges import links, weight_matrix
from netac.utils.errors import InputError


def weights(graph: nx.Graph) -> csr_array:
    """W from attributes; it is taken as it stands, the certificate says whether it is doubly stochastic.

    The undirected edge {i, j} gives W_ij = W_ji.  The directed edge j -> i, along which i hears j, gives W_ij alone.
    W_ii is agent i's node attribute `self_weight` where it has one, else 1 minus the rest of its row.

    Raises:
        InputError: an edge without a weight, or a weight that is not a finite number.
    """
    n = len(graph)
    values = [_number(w, f"edge ({u}, {v})", "weight") for u, v, w in graph.edges(data="weight")]
    hearer, heard = links(graph)
    per_link = np.array(values if graph.is_directed() else values + values, dtype=np.float64)
    diagonal = 1.0 - np.bincount(hearer, weights=per_link, minlength=n)
    for node, own in graph.nodes(data="self_weight"):
        if own is not None:
            diagonal[node] = _number(own, f"agent {node}", "self_weight")
    return weight_matrix(n, hearer, heard, per_link, diagonal)


def _number(value: object, where: str, attribute: str) -> float:
    """The attribute as a float."""
    if value is None:
        raise InputError(f"the weight rule 'file' needs a number `{attribute}` on every edge, and {where} has none",
                         valid='a weight on every edge, or weights = "metropolis" on an undirected graph')
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise InputError(f"`{attribute}` of {where} is not a finite number", found=value)
    return float(value)
