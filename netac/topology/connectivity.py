"""Assumption 1 of the CAC paper: over which B consecutive graphs is their union always connected?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

SMALL = 100     # agents up to which a dense matrix tells sooner than scipy.sparse.csgraph is loaded
Links = np.ndarray
"""Sorted int64 codes i * n + j, one for each pair where agent i hears agent j; i != j."""


def components(codes: Links, n: int) -> tuple[int, np.ndarray]:
    """(how many, label of each agent) of the strongly connected components; of an undirected graph: its components."""
    if n <= SMALL and _all_connected(codes, n):
        return 1, np.zeros(n, dtype=np.int32)
    from scipy.sparse.csgraph import connected_components
    starts = np.searchsorted(codes, np.arange(n + 1, dtype=np.int64) * n).astype(np.int32)
    adjacency = csr_array((np.ones(len(codes)), (codes % n).astype(np.int32), starts), shape=(n, n))
    return connected_components(adjacency, directed=True, connection="strong")


def _all_connected(codes: Links, n: int) -> bool:
    """Whether every agent is reached from every other: a power of the adjacency matrix, squared again and again."""
    reached = np.eye(n)
    reached[codes // n, codes % n] = 1.0
    for _ in range(n.bit_length()):
        reached = np.minimum(reached @ reached, 1.0)
    return bool(reached.all())


def joined(parts: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The parts of an undirected network once the edges between u and v are there, too.

    Args:
        parts: (N,) the smallest agent of the part that each agent is in; of agents that nothing joins, themselves.
        u, v: the ends of the edges.

    Returns:
        The same of the parts as they are then: all 0 where everybody is connected.
    """
    while True:
        first, second = parts[u], parts[v]
        smaller, found = np.minimum(first, second), parts.copy()
        np.minimum.at(found, first, smaller)
        np.minimum.at(found, second, smaller)
        found = found[found]
        if np.array_equal(found, parts):
            return parts
        parts = found


def shortest(codes: Links, n: int) -> Links:
    """Links that connect the same agents, alone and in any union: one cycle through all agents if these connect all."""
    if n == 1 or len(codes) < n or components(codes, n)[0] > 1:
        return codes
    return _cycle(n)


@lru_cache(maxsize=4)
def _cycle(n: int) -> Links:
    """Agent i hears i + 1 (mod n); always the same array."""
    i = np.arange(n, dtype=np.int64)
    codes = i * n + (i + 1) % n
    codes.flags.writeable = False
    return codes


def union(sequence: Sequence[Links]) -> Links:
    """All links of a sequence of graphs."""
    different = _different(sequence)
    if len(different) == 1:
        return next(iter(different.values()))
    together = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *different.values()]), kind="stable")
    return together[np.append(True, together[1:] != together[:-1])] if len(together) else together


def first_connected(sequence: Sequence[Links], n: int, periodic: bool) -> np.ndarray:
    """For every start s the smallest L such that graphs s..s+L-1 together are connected; inf where none is.

    The end s + L never moves back as s moves on, so two pointers pass over the sequence once, and count how many of
    the graphs between them have each link.  A periodic sequence is wrapped around, an aperiodic one ends at its end.
    """
    steps, whole = len(sequence), union(sequence)
    if n == 1:
        return np.ones(steps)
    places = {known: np.searchsorted(whole, codes) for known, codes in _different(sequence).items()}
    last = 2 * steps if periodic else steps
    carried = np.zeros(len(whole), dtype=np.int64)
    lengths = np.full(steps, math.inf)
    end, connected = 0, False

    def moved(t: int, change: int) -> bool:
        """Counts graph t in (1) or out (-1), and says whether the window is connected then."""
        own = places[id(sequence[t % steps])]
        carried[own] += change
        alone = 1 if change > 0 else 0
        if not (carried[own] == alone).any():        # each of its links is in another graph of the window, too
            return connected
        return bool(np.count_nonzero(carried) >= n and components(whole[carried > 0], n)[0] == 1)

    for start in range(steps):
        while not connected and end < last:
            connected = moved(end, 1)
            end += 1
        if not connected:
            break
        lengths[start] = end - start
        connected = moved(start, -1)
    return lengths


def smallest_block(sequence: Sequence[Links], n: int, periodic: bool) -> int | None:
    """Smallest B such that the union over every block of iterations l B .. (l + 1) B - 1 is connected (Assumption 1).

    Args:
        sequence: the links of graph 0, 1, ...: one period, or as much as was looked at.
        n: number of agents.
        periodic: whether the sequence repeats for ever (blocks then start at every multiple of gcd(B, period)) or
            only its own full blocks are known.

    Returns:
        B, at most the length of the sequence; None where the union of all its graphs is not connected.
    """
    if components(union(sequence), n)[0] > 1:
        return None
    lengths = first_connected(sequence, n, periodic)
    steps = len(sequence)

    def holds(B: int) -> bool:
        starts = slice(0, steps, math.gcd(B, steps)) if periodic else slice(0, steps - B + 1, B)
        return bool((lengths[starts] <= B).all())

    return next(B for B in range(1, steps + 1) if holds(B))


def deaf_agents(codes: Links, n: int) -> np.ndarray | None:
    """Agents that never hear from the others: the smallest component that no link enters; None if all are connected."""
    count, label = components(codes, n)
    if count == 1:
        return None
    hearer, heard = label[codes // n], label[codes % n]
    enters = np.zeros(count, dtype=bool)
    enters[hearer[hearer != heard]] = True
    sizes = np.where(enters, n + 1, np.bincount(label, minlength=count))
    return np.flatnonzero(label == sizes.argmin())


def links_of(W: csr_array, rows: np.ndarray) -> Links:
    """The links through which W moves weight; `rows` are the row indices of its entries."""
    off = rows != W.indices
    return rows[off] * W.shape[0] + W.indices[off].astype(np.int64)


def _different(sequence: Sequence[Links]) -> dict[int, Links]:
    """The arrays that are not one and the same, by `id`."""
    return {id(codes): codes for codes in sequence}
