"""Graphs as integer arrays: from edge arrays to a networkx graph and back, and from weights to a sparse W.

A *link* (i, j) means "agent i hears agent j" and is where W_ij may be non-zero.  An undirected edge is two links; the
directed edge u -> v is the one link (v, u), for v hears u.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class PlainGraph:
    """An undirected graph on 0..n-1 as arrays: what weight rules and the certificate ask of a networkx graph.

    Attributes:
        n: agents.
        u, v: ends of its edges, u < v, (edges,) int64 each, in the order in which networkx lists them.
    """

    n: int
    u: np.ndarray
    v: np.ndarray

    def __len__(self) -> int:
        return self.n

    def is_directed(self) -> bool:
        """It is not."""
        return False

    def number_of_edges(self) -> int:
        """How many there are."""
        return len(self.u)

    def networkx(self) -> nx.Graph:
        """The same graph, as users know it."""
        return from_edges(self.n, (self.u, self.v))


def undirected(n: int, u: np.ndarray, v: np.ndarray) -> PlainGraph:
    """The undirected graph that `from_edges` makes of the same arrays, without networkx."""
    first, second = np.minimum(u, v)[u != v], np.maximum(u, v)[u != v]
    _, kept = np.unique(first * n + second, return_index=True)
    kept.sort()
    kept = kept[np.argsort(first[kept], kind="stable")]
    return PlainGraph(n, first[kept], second[kept])


def from_edges(n: int, *ends: tuple[np.ndarray, np.ndarray], directed: bool = False, **attributes: object) -> nx.Graph:
    """Graph on 0..n-1 with the edges u[k] -> v[k] of every pair (u, v) of integer arrays in `ends`.

    Pairs with u = v are left out and repeated edges count once, so that families need no special case for small n.
    `attributes` are given to every edge.
    """
    import networkx as nx
    graph = nx.DiGraph() if directed else nx.Graph()
    graph.add_nodes_from(range(n))
    for u, v in ends:
        keep = u != v
        graph.add_edges_from(zip(u[keep].tolist(), v[keep].tolist(), strict=True), **attributes)
    return graph


def links(graph: nx.Graph | PlainGraph) -> tuple[np.ndarray, np.ndarray]:
    """(hearer, heard), two int64 arrays with one entry per link; an undirected edge gives its two links.

    The first half of an undirected graph's links are its edges as `graph.edges()` lists them, the second half the same
    edges the other way round.
    """
    if isinstance(graph, PlainGraph):
        return np.concatenate([graph.u, graph.v]), np.concatenate([graph.v, graph.u])
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
