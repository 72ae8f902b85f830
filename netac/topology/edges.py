"""Graphs as integer arrays: from edge arrays to graphs, networkx's included, and back, and from weights to a sparse W.

A *link* (i, j) means "agent i hears agent j" and is where W_ij may be non-zero.  An undirected edge is two links; the
directed edge u -> v is the one link (v, u), for v hears u.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:          # loaded where a graph of it is asked for
    import networkx as nx


@dataclass(frozen=True)
class EdgeGraph:
    """A graph on 0..n-1 as arrays: what a family may return for a networkx graph, and takes a tenth of its time.

    It answers what weight rules and the certificate ask of a graph: its length, `is_directed`, `number_of_edges`, and
    `edges_of` and `links` below.

    Args:
        n: number of nodes.
        u, v: int64, the edges u[k] -> v[k], no loops and none twice, in networkx's order.
        directed: whether edges have a direction.
        weight: of every edge; None where edges have none.
    """

    n: int
    u: np.ndarray
    v: np.ndarray
    directed: bool = False
    weight: float | None = None

    def __len__(self) -> int:
        return self.n

    def is_directed(self) -> bool:
        """Whether edges have a direction."""
        return self.directed

    def number_of_edges(self) -> int:
        """How many edges there are."""
        return len(self.u)


Graph: TypeAlias = Union["nx.Graph", EdgeGraph]
"""A graph as a family gives it."""


_NO_EDGES = np.empty((2, 0), dtype=np.int64)


def from_edges(n: int, *ends: tuple[np.ndarray, np.ndarray], directed: bool = False,
               weight: float | None = None) -> EdgeGraph:
    """Graph on 0..n-1 with the edges u[k] -> v[k] of every pair (u, v) of integer arrays in `ends`.

    Pairs with u = v are left out and repeated edges count once, so that families need no special case for small n.
    `weight` is that of every edge.
    """
    u, v = ends[0] if len(ends) == 1 else np.concatenate([_NO_EDGES, *map(np.stack, ends)], axis=1)
    if not directed:
        u, v = np.minimum(u, v), np.maximum(u, v)
    if (u == v).any():
        u, v = u[u != v], v[u != v]
    codes = u * n + v
    if (codes[1:] <= codes[:-1]).any():
        order = np.sort(np.unique(codes, return_index=True)[1])
        order = order[np.argsort(u[order], kind="stable")]      # networkx lists edges by their first end, then as added
        u, v = u[order], v[order]
    return EdgeGraph(n, u, v, directed, weight)


def of_pairs(pairs: np.ndarray) -> EdgeGraph:
    """The undirected graph of a symmetric (N, N) bool, False on its diagonal."""
    u, v = np.nonzero(np.triu(pairs))
    return EdgeGraph(len(pairs), u, v)


def as_networkx(graph: Graph) -> nx.Graph:
    """The graph as a networkx graph: itself where it is one, else a new one."""
    if not isinstance(graph, EdgeGraph):
        return graph
    import networkx as nx
    made = nx.DiGraph() if graph.directed else nx.Graph()
    made.add_nodes_from(range(graph.n))
    attributes = {} if graph.weight is None else {"weight": graph.weight}
    made.add_edges_from(zip(graph.u.tolist(), graph.v.tolist(), strict=True), **attributes)
    return made


def edges_of(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """(u, v), two int64 arrays with one entry per edge u -> v, as `graph.edges()` of networkx lists them."""
    if isinstance(graph, EdgeGraph):
        return graph.u, graph.v
    flat = np.fromiter(chain.from_iterable(graph.edges()), dtype=np.int64, count=2 * graph.number_of_edges())
    return flat[0::2], flat[1::2]


def links(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """(hearer, heard), two int64 arrays with one entry per link; an undirected edge gives its two links.

    The first half of an undirected graph's links are its edges as `edges_of` lists them, the second half the same
    edges the other way round.
    """
    u, v = edges_of(graph)
    return (v, u) if graph.is_directed() else (np.concatenate([u, v]), np.concatenate([v, u]))


def degrees(n: int, hearer: np.ndarray) -> np.ndarray:
    """How many links each of the n agents hears through, int64 (n,)."""
    return np.bincount(hearer, minlength=n)


def csr(n: int, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> csr_array:
    """(n, n) float64 matrix with sorted indices from entries of which no two share a place."""
    order = np.argsort(rows * n + columns, kind="stable")        # which finds long runs in order, as `links` gives them
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


def share_matrix(n: int, hearer: np.ndarray, heard: np.ndarray) -> csr_array:
    """A with A[hearer, heard] = 1 / (1 + how many hear it): agents divide what they have among these and themselves."""
    share = 1.0 / (1 + np.bincount(heard, minlength=n))
    return weight_matrix(n, hearer, heard, share[heard], share)


def rows_of(matrix: csr_array) -> np.ndarray:
    """Row index of every stored entry of a CSR matrix, (nnz,)."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
