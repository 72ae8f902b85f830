"""Whether trimmed means bear liars on a graph: honest agents then agree, on something between their own values.

Every agent leaves out the f largest and the f smallest values that it hears and averages what is left with its own.
With at most l <= f liars among those that an honest agent hears, more than 2 f heard by each, and an
(f + l + 1)-robust graph, honest agents agree within the hull of their values (after LeBlanc, Zhang, Koutsoukos and
Sundaram 2013, Theorem 2, where l = f): among the honest agents with the largest values, or among those with the
smallest, one hears f + 1 honest ones that are not, and cannot leave them all out.  Where every liar tells all its
listeners the same, an (f + 1, l + 1)-robust graph does it too, with l the number of all liars (their Theorem 1).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from netac.topology.closed_sets import MOST_STATES
from netac.topology.edges import Graph
from netac.topology.labels import Labels, agent, agents_set
from netac.topology.robustness import Robustness, adjacency, is_robust, robustness
from netac.utils.errors import InputError


@dataclass(frozen=True)
class Resilience:
    """What trimmed means with f bear.

    Args:
        problems: one sentence for each reason for which agreement between honest agents is not guaranteed.
        undecided: one sentence if it is not known whether the graph is robust enough, else None.
        robustness: the graph's.
    """

    problems: tuple[str, ...]
    undecided: str | None
    robustness: Robustness

    @property
    def holds(self) -> bool:
        """Whether honest agents agree within the hull of their values, for certain."""
        return not self.problems and self.undecided is None


def bears(graph: Graph | csr_array, liars: Collection[int], f: int, labels: Labels = (),
          most: int = MOST_STATES) -> Resilience:
    """Whether trimmed means with f bear these liars on this graph.

    Args:
        graph: a graph, or weights, whose entries off the diagonal tell who hears whom.
        liars: which agents lie.
        f: how many of the largest and of the smallest heard values are left out.
        labels: the agents' names in messages.
        most: as for `netac.topology.robustness.robustness`.

    Raises:
        InputError: one of the liars is no agent, or f is negative.
    """
    hears = adjacency(graph)
    n = hears.shape[0]
    if f < 0:
        raise InputError("must not be negative", found=f)
    for liar in liars:
        if liar not in range(n):
            raise InputError(f"there is no agent {liar}", found=sorted(liars), valid=f"0 to {n - 1}")
    lies = np.zeros(n, dtype=bool)
    lies[list(liars)] = True
    if lies.all() or n == 1:
        return Resilience((), None, robustness(hears, most))
    degree, heard_liars = np.diff(hears.indptr), (hears @ lies.astype(float)).astype(int)
    problems = []
    few, many = np.flatnonzero(~lies & (degree <= 2 * f)), np.flatnonzero(~lies & (heard_liars > f))
    if len(few) and f:
        problems.append(f"{agent(few[0], labels)} hears {_others(int(degree[few[0]]))}, and a trimmed mean with "
                        f"f = {f} needs more than {2 * f}{_further(len(few))}")
    if len(many):
        among = hears.indices[hears.indptr[many[0]]:hears.indptr[many[0] + 1]]
        problems.append(f"{agent(many[0], labels)} hears {heard_liars[many[0]]} liars, "
                        f"{agents_set(among[lies[among]], labels)}, and f = {f}{_further(len(many))}")
    known = robustness(hears, most)
    near, total = min(f, int(heard_liars[~lies].max())), int(lies.sum())
    needed = f + near + 1
    in_all = known.r_low < needed and total <= f and is_robust(hears, f + 1, total + 1, known, most)
    if known.r_low >= needed or in_all:
        return Resilience(tuple(problems), None, known)
    if in_all is None or known.r_high >= needed:
        return Resilience(tuple(problems), f"it is not decided whether the graph is {needed}-robust: it is "
                          f"{known.r_low}-robust and not {known.r_high + 1}-robust", known)
    assert known.witness is not None, "n > 1"
    one, other = (agents_set(group, labels) for group in known.witness)
    problems.append(f"the graph is not {needed}-robust, as f = {f} with {_liars(near)} asks: no agent of {one} hears "
                    f"{_others(needed)} outside of it, and none of {other}")
    return Resilience(tuple(problems), None, known)


def _others(count: int) -> str:
    return f"{count} other{'s' * (count != 1)}"


def _liars(count: int) -> str:
    return f"{count} liar{'s' * (count != 1)} in a neighbourhood" if count else "no liars"


def _further(count: int) -> str:
    """How many more agents have the same problem."""
    return f" (and so for {count - 1} more)" if count > 1 else ""
