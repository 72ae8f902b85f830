"""Lazy Metropolis: W = (I + metropolis) / 2, so that no eigenvalue is negative."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from netac.topology.edges import rows_of
from netac.topology.weights import metropolis

if TYPE_CHECKING:
    import networkx as nx


def weights(graph: nx.Graph) -> csr_array:
    """(I + W) / 2 of the Metropolis W: every W_ii >= 1/2.

    Raises:
        InputError: the graph is directed.
    """
    W = metropolis.weights(graph)
    on_diagonal = rows_of(W) == W.indices
    W.data = 0.5 * (W.data + np.where(on_diagonal, 1.0, 0.0))
    return W
