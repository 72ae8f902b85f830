"""Which liars the trimmed mean bears on which graphs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

from netac.topology import Topology
from netac.topology.labels import agent
from netac.topology.resilience import bears
from netac.topology.robustness import adjacency

GRAPHS = 100          # that are looked at: those of a period, or the first
SEARCHES = 5          # of them whose robustness is computed, which takes seconds at most: those with most links


@lru_cache(maxsize=16)
def fault_of_trimming(topology: Topology, f: int, liars: frozenset[int], iterations: int) -> str | None:
    """Why honest agents are not safe from these liars when they drop f values on either side; None where they are.

    An honest agent that mixes at all, hearing more than 2 f, must hear at most f liars, in every graph that is looked
    at, so that no honest agent ever leaves the honest agents' hull; and one of these graphs must be such that they
    would agree if it stayed (`netac.topology.resilience`), so that it brings them nearer whenever it comes again.
    """
    if topology.radius is not None:
        return "which graphs there will be depends on where agents are, and nobody knows beforehand"
    lying = np.zeros(topology.agents)
    lying[sorted(liars)] = 1.0
    able, fewest = [], 0
    for t, hears in _graphs(topology, iterations):
        degree = np.diff(hears.indptr)
        lies = np.where((lying == 0) & (degree > 2 * f), hears @ lying, 0)
        worst, few = int(lies.argmax()), int(degree[lying == 0].min())
        if lies[worst] > f:
            return f"{agent(worst, topology.labels)} hears {int(lies[worst])} of them in iteration {t}, and f = {f}"
        fewest = max(fewest, few)
        if few > 2 * f:
            able.append((t, hears))
    if not able:
        return f"in every graph an honest agent hears no more than {fewest}, and f = {f} needs more than {2 * f}"
    faults = []
    for t, hears in sorted(able, key=lambda each: -each[1].nnz)[:SEARCHES]:
        told = bears(hears, liars, f, topology.labels)
        if told.holds:
            return None
        faults.append(f"in iteration {t} " + "; ".join([*told.problems, *filter(None, [told.undecided])]))
    return faults[0]


def most_heard(topology: Topology, iterations: int) -> int:
    """How many others an agent hears at most, in the graphs that are looked at; all, where these follow the agents."""
    if topology.radius is not None:
        return topology.agents - 1
    return max(int(np.diff(hears.indptr).max()) for _, hears in _graphs(topology, iterations))


def _graphs(topology: Topology, iterations: int) -> Iterator[tuple[int, csr_array]]:
    """Iterations whose graphs differ, with 1 where agent i hears agent j: (N, N)."""
    known: list[csr_array] = []
    for t in range(min(iterations, GRAPHS, topology.period or GRAPHS)):
        matrix = topology.matrix(t)
        if not any(matrix is other for other in known):
            known.append(matrix)
            yield t, adjacency(matrix)
