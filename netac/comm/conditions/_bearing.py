"""Which liars the trimmed mean bears on which graphs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

from netac.topology import Topology
from netac.topology.labels import agent
from netac.topology.robustness import adjacency, robustness

GRAPHS = 100          # that are looked at: those of a period, or the first
SEARCHES = 5          # of them whose robustness is computed, which takes seconds at most: those with most links


def fault_of_trimming(topology: Topology, f: int, liars: frozenset[int], iterations: int) -> str | None:
    """Why honest agents are not safe from these liars when they drop f values on either side; None where they are.

    An honest agent that mixes at all, hearing more than 2 f, must hear at most f liars, in every graph that is looked
    at; and one of these graphs must be (2 f + 1)-robust.
    """
    lying = np.zeros(topology.agents)
    lying[sorted(liars)] = 1.0
    for t, hears in _graphs(topology, iterations):
        lies = np.where((lying == 0) & (np.diff(hears.indptr) > 2 * f), hears @ lying, 0)
        worst = int(lies.argmax())
        if lies[worst] > f:
            return f"{agent(worst, topology.labels)} hears {int(lies[worst])} of them in iteration {t}, and f = {f}"
    return _apart(topology, 2 * f + 1, iterations)


@lru_cache(maxsize=16)
def _apart(topology: Topology, r: int, iterations: int) -> str | None:
    """Why honest agents may stay apart: of no graph it is known that it is r-robust; None where it is of one."""
    graphs = list(_graphs(topology, iterations))
    fewest = [int(np.diff(hears.indptr).min()) for _, hears in graphs]
    which = "the graph" if len(graphs) == 1 else f"one of the {len(graphs)} graphs looked at"
    asked = f"{which} must be {r}-robust for honest agents to agree"
    able = sorted((each for each, few in zip(graphs, fewest, strict=True) if few >= r or topology.agents == 1),
                  key=lambda each: -each[1].nnz)[:SEARCHES]
    if not able:
        return f"{asked}, and {'there' if len(graphs) == 1 else 'in each'} somebody hears {max(fewest)} at most"
    found = [(t, robustness(hears)) for t, hears in able]
    if any(known.r_low >= r for _, known in found):
        return None
    t, best = max(found, key=lambda each: (each[1].r_high, each[1].r_low))
    return f"{asked}, and in iteration {t} its robustness is {best.in_words()}"


def _graphs(topology: Topology, iterations: int) -> Iterator[tuple[int, csr_array]]:
    """Iterations whose graphs differ, with 1 where agent i hears agent j: (N, N)."""
    known: list[csr_array] = []
    for t in range(min(iterations, GRAPHS, topology.period or GRAPHS)):
        matrix = topology.matrix(t)
        if not any(matrix is other for other in known):
            known.append(matrix)
            yield t, adjacency(matrix)
