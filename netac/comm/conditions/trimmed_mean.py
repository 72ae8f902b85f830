"""Agents mix the mean of what is left when the f largest and f smallest of the neighbours' values are dropped.

Coordinate by coordinate (BRIDGE-T: Yang and Bajwa, 2020, "Adversary-resilient distributed and decentralized statistical
inference and machine learning"; Fang, Yang and Bajwa, 2022), over the neighbours N_i whose messages have arrived:

    x_i <- (x_i + sum over j in N_i without the f largest and the f smallest of x_j) / (|N_i| - 2 f + 1)

The weights of the graph are not used.  An agent that has heard fewer than 2 f + 1 keeps its own value.  What is no
number counts as the largest.  With at most f liars among the neighbours that it hears, an agent's new value lies
between the smallest and the largest of the honest ones; and what honest agents mix again and again comes to agree if
besides the graph is robust enough, (2 f + 1)-robust at most, all the time or at least once in a period (LeBlanc, Zhang,
Koutsoukos and Sundaram, 2013; `netac.topology.resilience`).  The mean is not kept, and what only few agents know, as
the rewards of one, is what is dropped.

Where an algorithm asks for the sum over its neighbours, it is given their number times the mean of what is left of
theirs, without its own value; times its own value where fewer than 2 f + 1 have arrived.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netac.comm.conditions._robust import RobustMixing, located, total
from netac.comm.exchange import Exchange, Surroundings
from netac.topology import Topology
from netac.utils.errors import InputError
from netac.utils.options import Options


class Settings(Options):
    """Options of `trimmed-mean`."""

    f: int = Field(ge=0, le=10**6, description="how many of the largest and of the smallest values are dropped, >= 0")


class TrimmedMean(RobustMixing):
    """See the module."""

    def __init__(self, settings: Settings):
        self._f = settings.f

    def mix(self, exchange: Exchange) -> np.ndarray:
        """Own value and what is left of the neighbours', with equal weights."""
        return located(exchange, 2 * self._f + 1, self._with_own, self._of_neighbours)

    def fault(self, topology: Topology, liars: frozenset[int], iterations: int) -> str | None:
        """An honest agent that hears too many of them, or a graph on which honest agents may stay apart."""
        from netac.comm.conditions._bearing import fault_of_trimming
        return fault_of_trimming(topology, self._f, liars, iterations)

    def _left(self, others: np.ndarray) -> np.ndarray:
        return others[self._f:len(others) - self._f]

    def _with_own(self, others: np.ndarray, own: np.ndarray) -> np.ndarray:
        left = self._left(others)
        return (own + total(left)) / own.dtype.type(len(left) + 1)

    def _of_neighbours(self, others: np.ndarray, own: np.ndarray) -> np.ndarray:
        left = self._left(others)
        return total(left) / own.dtype.type(len(left))


def make(settings: Settings, around: Surroundings) -> TrimmedMean:
    """The condition; InputError where no agent ever hears enough others to mix anything.

    That liars are not borne there either is for `adversaries` to say.
    """
    from netac.comm.conditions._bearing import most_heard
    most = most_heard(around.topology, around.iterations)
    if 0 < most <= 2 * settings.f and not around.allow_insecure and "adversaries" not in around.conditions:
        raise InputError(f"no agent ever hears more than {most} others, of whom 2 f would be dropped: nothing would be "
                         "mixed", key="f", found=settings.f,
                         valid=f"0 to {(most - 1) // 2}, or a topology in which agents hear more")
    return TrimmedMean(settings)
