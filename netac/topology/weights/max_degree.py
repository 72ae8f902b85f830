"""Maximum degree: W_ij = 1 / (1 + d_max) on every edge, d_max the largest degree in the graph."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from netac.topology.edges import Graph, degrees, links, weight_matrix
from netac.topology.weights._undirected import only_undirected


def weights(graph: Graph) -> csr_array:
    """I - L / (1 + d_max) with the graph Laplacian L; every agent must know the network's largest degree.

    Raises:
        InputError: the graph is directed.
    """
    only_undirected(graph, "max-degree")
    n = len(graph)
    i, j = links(graph)
    largest = degrees(n, i).max(initial=0)
    return weight_matrix(n, i, j, np.full(len(i), 1.0 / (1 + largest)))
