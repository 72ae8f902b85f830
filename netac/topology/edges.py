"""Graphs as integer arrays: from edge arrays to a networkx graph and back, and from weights to a sparse W.

A *link* (i, j) means "agent i hears agent j" and is where W_ij may be non-zero.  An undirected edge is two links; the
directed edge u -> v is the one link (v, u), for v hears u.
"""

from __future__ import annotations

from itertools import chain

import networkx as nx
import numpy as np
from scipy.sparse import csr_array


def from_edges(n: int, *ends: tuple[np.ndarray, np.ndarray], directed: bool = False, **attributes: object) -> nx.Graph:
    """Graph on 0..n-1 with the edges u[k] -> v[k] of every pair (u, v) of integer arrays in `ends`.

    Pairs with u = v are left out and repeated edges count once, so that families need no special case for small n.
    `attributes` are given to every edge.
    """
    graph = nx.DiGraph() if directed else nx.Graph()
    graph.add_nodes_from(range(n))
    for u, v in ends:
        keep = u != v
        graph.add_edges_from(zip(u[keep].tolist(), v[keep].tolist(), strict=True), **attributes)
    return graph


def links(graph: nx.Graph) -> tuple[np.ndarray, np.ndarray]:
    """(hearer, heard), two int64 arrays with one entry per link; an undirected edge gives its two links.

    The first half of an undirected graph's links are its edges as `graph.edges()` lists them, the second half the same
    edges the other way round.
    """
    flat = np.fromiter(chain.from_iterable(graph.edges()), dtype=np.int64, count=2 * graph.number_of_edges())
    u, v = flat[0::2], flat[1::2]
    return (v, u) if graph.is_directed() else (np.concatenate([u, v]), np.concatenate([v, u]))


def degrees(n: int, hearer: np.ndarray) -> np.ndarray:
    """How many links each of the n agents hears through, int64 (n,)."""
    return np.bincount(hearer, minlength=n)


def csr(n: int, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> csr_array:
    """(n, n) float64 matrix with sorted indices from entries of which no two share a place."""
    order = np.lexsort((columns, rows))
    starts = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=n), out=starts[1:])
    matrix = csr_array((values[order].astype(np.float64), columns[order].astype(np.int32), starts), shape=(n, n))
    matrix.has_canonical_format = True
    return matrix


def weight_matrix(n: int, hearer: np.ndarray, heard: np.ndarray, weights: np.ndarray,
                  diagonal: np.ndarray | None = None) -> csr_array:
    """W with W[hearer, heard] = weights; zeros off the diagonal are not stored, the diagonal always is.

    Args:
        n: number of agents.
        hearer, heard, weights: one entry per link.
        diagonal: (n,) self weights; by default what makes every row sum to 1.
    """
    if diagonal is None:
        diagonal = 1.0 - np.bincount(hearer, weights=weights, minlength=n)
    used, own = weights != 0, np.arange(n)
    return csr(n, np.concatenate([hearer[used], own]), np.concatenate([heard[used], own]),
               np.concatenate([weights[used], diagonal]))


def rows_of(matrix: csr_array) -> np.ndarray:
    """Row index of every stored entry of a CSR matrix, (nnz,)."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
