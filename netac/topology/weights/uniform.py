"""Uniform: every weight is 1/N, the exact average in one step; for complete graphs (without edges: the identity)."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from netac.topology.edges import Graph, links, weight_matrix
from netac.topology.weights._undirected import only_undirected
from netac.utils.errors import InputError


def weights(graph: Graph) -> csr_array:
    """11'/N on the complete graph, I on the graph without edges.

    Raises:
        InputError: the graph is directed, or has some but not all edges (there 1/N does not fit the graph).
    """
    only_undirected(graph, "uniform")
    n, edges = len(graph), graph.number_of_edges()
    i, j = links(graph)
    if edges == 0:
        return weight_matrix(n, i, j, np.zeros(0))
    if edges != n * (n - 1) // 2:
        raise InputError("the weight rule 'uniform' (1/N everywhere) needs a complete graph, or one without edges",
                         found=f"{edges} of {n * (n - 1) // 2} edges", valid='weights = "metropolis" on this graph')
    return weight_matrix(n, i, j, np.full(len(i), 1.0 / n), diagonal=np.full(n, 1.0 / n))
