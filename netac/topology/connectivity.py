"""Assumption 1 of the CAC paper: over which B consecutive graphs is their union always connected?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from netac.topology.edges import csr

Links = np.ndarray
"""Sorted int64 codes i * n + j, one for each pair where agent i hears agent j; i != j."""


def components(codes: Links, n: int) -> tuple[int, np.ndarray]:
    """(how many, label of each agent) of the strongly connected components; of an undirected graph: its components."""
    codes = np.unique(codes)
    return connected_components(csr(n, codes // n, codes % n, np.ones(len(codes))), directed=True, connection="strong")


def union(sequence: Sequence[Links]) -> Links:
    """All links of a sequence of graphs."""
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *sequence]))


def first_connected(sequence: Sequence[Links], n: int, periodic: bool) -> list[float]:
    """For every start s the smallest L such that graphs s..s+L-1 together are connected; inf where none is.

    The end s + L never moves back as s moves on, so two pointers pass over the sequence once.  A periodic sequence is
    wrapped around, an aperiodic one ends at its end.
    """
    steps = len(sequence)
    if n == 1:
        return [1] * steps
    last = 2 * steps if periodic else steps
    lengths: list[float] = []
    end, connected = 0, False
    for start in range(steps):
        if end <= start:
            end, connected = start, False
        elif len(sequence[start - 1]):
            connected = components(_window(sequence, start, end), n)[0] == 1
        while not connected and end < last:
            end += 1
            if len(sequence[(end - 1) % steps]):
                connected = components(_window(sequence, start, end), n)[0] == 1
        lengths.append(end - start if connected else math.inf)
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
        starts = range(0, steps, math.gcd(B, steps)) if periodic else range(0, steps - B + 1, B)
        return all(lengths[start] <= B for start in starts)

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


def _window(sequence: Sequence[Links], start: int, end: int) -> Links:
    """The links of graphs start..end-1, wrapped around."""
    steps = len(sequence)
    return np.concatenate([sequence[t % steps] for t in range(start, end)])
