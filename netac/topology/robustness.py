"""Robustness of a graph against agents that lie: how much every two groups of agents hear of what is outside of them.

A set S of agents is r-reachable if one of its agents hears r agents outside of S.  A graph is r-robust if of every two
disjoint nonempty sets at least one is r-reachable.  It is (r, s)-robust if for every two such sets all agents of one of
them hear r outside of it, or s agents of both together do.  (LeBlanc, Zhang, Koutsoukos and Sundaram 2013, "Resilient
asymptotic consensus in robust networks".)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, reverse_cuthill_mckee

from netac.topology.closed_sets import (
    MOST_AGENTS,
    MOST_STATES,
    Pair,
    annealed_closed_sets,
    closed,
    disjoint_closed_sets,
)
from netac.topology.edges import Graph, csr, links, rows_of

FEW = 16
"""Agents up to which the search needs no help."""
LARGEST_DENSE = 300
"""Agents up to which the Laplacian's eigenvectors are computed, dense."""
_ROUNDED = 1e-9


@dataclass(frozen=True)
class Robustness:
    """The largest r for which a graph is r-robust, as far as it is known.

    Args:
        r_low, r_high: it is at least and at most these; a single agent is 1-robust.
        witness: two disjoint nonempty sets of which neither is (r_high + 1)-reachable; None for a single agent.
    """

    r_low: int
    r_high: int
    witness: Pair | None

    @property
    def decided(self) -> bool:
        """Whether it is known."""
        return self.r_low == self.r_high

    def in_words(self) -> str:
        """"3", or "at least 1, at most 4 (not decided)"."""
        return str(self.r_low) if self.decided else f"at least {self.r_low}, at most {self.r_high} (not decided)"


def robustness(graph: Graph | csr_array, most: int = MOST_STATES) -> Robustness:
    """The largest r for which the graph is r-robust: exact up to 40 agents where the search ends, else its bounds.

    It is at most ceil(n / 2), and where it is more than 1 at most the smallest number of agents that one hears.  It is
    at least 1 where all hear from one agent over others, at least that smallest number - floor(n / 2) + 1, and at least
    half the Laplacian's second eigenvalue where hearing is mutual: a set of at most n / 2 agents hears as much outside
    of it on average.

    Args:
        graph: a graph, or weights, whose entries off the diagonal tell who hears whom.
        most: partly decided sets that the search looks at, at most (a number of these, not of seconds, so that the
            answer is the same everywhere).
    """
    hears = adjacency(graph)
    found = _bounds(hears)
    if found.decided or hears.shape[0] > MOST_AGENTS:
        return found
    dense, low, high, witness = hears.toarray() != 0, found.r_low, found.r_high, found.witness
    while len(dense) > FEW and low < high and (sets := annealed_closed_sets(dense, high - 1)):
        high, witness = max(closed(dense, group) for group in sets), sets
    left = most
    while low < high and left > 0:                         # smaller k are sooner decided
        search = disjoint_closed_sets(dense, low, most=left)
        left -= search.states
        if search.sets:
            high, witness = low, search.sets
        elif search.decided:
            low += 1
        else:
            break
    return Robustness(low, high, witness)


def is_robust(graph: Graph | csr_array, r: int, s: int = 1, known: Robustness | None = None,
              most: int = MOST_STATES) -> bool | None:
    """Whether the graph is (r, s)-robust; None where that is not decided.

    An (r + s - 1)-robust graph is, and one that is not r-robust is not; what is left is searched for up to 40 agents.

    Args:
        graph: as for `robustness`.
        r, s: at least 1.
        known: the graph's robustness, if it is known.
        most: as for `robustness`, in each search.
    """
    hears = adjacency(graph)
    known = known or robustness(hears, most)
    if known.r_low >= r + s - 1:
        return True
    if known.r_high < r:
        return False
    if hears.shape[0] > MOST_AGENTS:
        return None
    search = disjoint_closed_sets(hears.toarray() != 0, r - 1, s - 1, most)
    return False if search.sets else True if search.decided else None


def adjacency(graph: Graph | csr_array) -> csr_array:
    """(n, n) with 1 where agent i hears agent j, and nothing on the diagonal."""
    if isinstance(graph, csr_array):
        n, hearer, heard = graph.shape[0], rows_of(graph), graph.indices.astype(np.int64)
        carry = (hearer != heard) & (graph.data != 0)
        hearer, heard = hearer[carry], heard[carry]
    else:
        n, (hearer, heard) = len(graph), links(graph)
    return csr(n, hearer, heard, np.ones(len(hearer)))


def _bounds(hears: csr_array) -> Robustness:
    """What is soon known."""
    n, degree = hears.shape[0], np.diff(hears.indptr)
    if n == 1:
        return Robustness(1, 1, None)
    sources = _sources(hears)
    if len(sources) > 1:
        return Robustness(0, 0, (sources[0], sources[1]))
    half, fewest = range(n // 2), int(degree.argmin())
    high, witness = (n + 1) // 2, (tuple(half), tuple(range(n // 2, n)))
    if (least := max(1, int(degree[fewest]))) < high:      # the others hear at most 1 of a single agent
        high, witness = least, ((fewest,), tuple(i for i in range(n) if i != fewest))
    mutual = (hears != hears.T).nnz == 0
    value, vector = _second(hears) if mutual and high > 1 else (0.0, None)
    low = max(1, int(degree[fewest]) - n // 2 + 1, math.ceil(value / 2 - _ROUNDED))
    for order in _orders(hears, vector) if low < high else ():
        k, first, last = _best_ends(hears, order)
        if k < high:
            high, witness = k, (tuple(sorted(order[:first].tolist())), tuple(sorted(order[last:].tolist())))
    return Robustness(low, high, witness)


def _sources(hears: csr_array) -> list[tuple[int, ...]]:
    """The groups of agents that hear from each other and from nobody else, two at most.  All hear from one of them."""
    count, label = connected_components(hears, directed=True, connection="strong")
    hearer, heard = label[rows_of(hears)], label[hears.indices]
    listens = np.zeros(count, dtype=bool)
    listens[hearer[hearer != heard]] = True
    return [tuple(np.flatnonzero(label == group).tolist()) for group in np.flatnonzero(~listens)[:2]]


def _second(hears: csr_array) -> tuple[float, np.ndarray | None]:
    """The second smallest eigenvalue of the Laplacian of a connected undirected graph, or less, and its vector, if it
    was computed."""
    n, degree = hears.shape[0], np.diff(hears.indptr).astype(float)
    if n <= LARGEST_DENSE:
        values, vectors = np.linalg.eigh(np.diag(degree) - hears.toarray())
        return float(values[1]), vectors[:, 1]
    from netac.topology.spectrum import smallest
    scale = 2.0 * float(degree.max())                      # ||L|| <= 2 d_max
    found = smallest(lambda x: (degree * x - hears @ x) / scale, n, lambda: None)
    return scale * found.low, None


def _orders(hears: csr_array, vector: np.ndarray | None) -> Iterator[np.ndarray]:
    """Orders in which agents that are near each other are near each other."""
    yield np.arange(hears.shape[0])
    yield reverse_cuthill_mckee(hears, symmetric_mode=False).astype(np.int64)
    if vector is not None:
        yield np.argsort(vector, kind="stable")


def _best_ends(hears: csr_array, order: np.ndarray) -> tuple[int, int, int]:
    """The smallest k for which some first and some last agents of the order are k-closed, without a common one.

    Returns:
        k, how many the first ones are, where the last ones begin.
    """
    n = len(order)
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    hearer, heard = place[rows_of(hears)], place[hears.indices]
    begins = _closed_beginnings(n, hearer, heard)                               # of the first a
    ends = _closed_beginnings(n, n - 1 - hearer, n - 1 - heard)[::-1]           # of those from a on
    first = np.minimum.accumulate(begins[:-1])
    a = int(np.maximum(first, ends[1:]).argmin())
    return int(max(first[a], ends[a + 1])), int(begins[:a + 1].argmin()) + 1, a + 1


def _closed_beginnings(n: int, hearer: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """For a = 1, ..., n the smallest k for which the agents 0, ..., a - 1 are k-closed, (n,).

    The agent that hears its c-th farthest at place p hears c agents outside of 0, ..., a - 1 for all a <= p.
    """
    order = np.lexsort((-heard, hearer))
    hearer, heard = hearer[order], heard[order]
    rank = np.arange(len(hearer)) - np.searchsorted(hearer, np.arange(n))[hearer]       # c - 1
    forward = np.flatnonzero(heard > hearer)
    forward = forward[np.argsort(rank[forward], kind="stable")]
    bounds = np.searchsorted(rank[forward], np.arange(int(rank[forward].max(initial=-1)) + 2))
    begins = np.zeros(n, dtype=np.int64)
    for c, (start, stop) in enumerate(pairwise(bounds), start=1):
        some = forward[start:stop]                         # a - 1 from the hearer's place to the heard one's - 1
        covers = np.bincount(hearer[some], minlength=n) - np.bincount(heard[some], minlength=n)
        begins[np.cumsum(covers) > 0] = c
    return begins
