"""Out-degree: A_ij = A_jj = 1 / (1 + how many hear j), for push-sum: columns sum to 1, on directed graphs, too."""

from __future__ import annotations

from scipy.sparse import csr_array

from netac.topology.edges import Graph, links, share_matrix


def weights(graph: Graph) -> csr_array:
    """Column-stochastic; doubly stochastic only where every agent is heard by as many as those it hears are.

    Each agent need know nothing but how many hear it.  A run takes these weights with the condition `push-sum`.
    """
    return share_matrix(len(graph), *links(graph))
