"""Metropolis-Hastings: W_ij = 1 / (1 + max(d_i, d_j)) on edges, the rest on the diagonal."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from netac.topology.edges import Graph, degrees, links, weight_matrix
from netac.topology.weights._undirected import only_undirected


def weights(graph: Graph) -> csr_array:
    """Symmetric and doubly stochastic, from the neighbours' degrees d_j alone; an isolated agent has W_ii = 1.

    Raises:
        InputError: the graph is directed.
    """
    only_undirected(graph, "metropolis")
    n = len(graph)
    i, j = links(graph)
    degree = degrees(n, i)
    return weight_matrix(n, i, j, 1.0 / (1 + np.maximum(degree[i], degree[j])))
