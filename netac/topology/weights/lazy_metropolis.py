"""Lazy Metropolis: W = (I + metropolis) / 2, so that no eigenvalue is negative."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from netac.topology.edges import Graph, rows_of
from netac.topology.weights import metropolis


def weights(graph: Graph) -> csr_array:
    """(I + W) / 2 of the Metropolis W: every W_ii >= 1/2.

    Raises:
        InputError: the graph is directed.
    """
    W = metropolis.weights(graph)
    on_diagonal = rows_of(W) == W.indices
    W.data = 0.5 * (W.data + np.where(on_diagonal, 1.0, 0.0))
    return W
