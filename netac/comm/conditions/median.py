"""Agents mix the median of their own value and those of the neighbours, coordinate by coordinate.

    x_i <- median of x_i and x_j, j in N_i whose message has arrived

(Yin, Chen, Kannan and Bartlett, 2018, "Byzantine-robust distributed learning: towards optimal statistical rates", over
the closed neighbourhood in the place of all workers.)  Of an even number of values it is the mean of the two middle
ones.  The weights of the graph are not used; what is no number counts as the largest.  As long as the liars are fewer
than half of an agent's closed neighbourhood its new value lies between honest ones, but no condition on the graph is
known here under which honest agents come to agree: on sparse graphs they may stay apart even where nobody lies (in a
ring of 0, 0, 1, 1 nothing moves).  So nothing is promised where agents lie.  The mean is not kept.

Where an algorithm asks for the sum over its neighbours, it is given their number times the median of theirs, without
its own value; times its own value where none has arrived.
"""

from __future__ import annotations

import numpy as np

from netac.comm.conditions._robust import RobustMixing, located
from netac.comm.exchange import Exchange, Surroundings
from netac.topology import Topology
from netac.utils.options import Options


class Settings(Options):
    """`median = true`: there are no options."""


class Median(RobustMixing):
    """See the module."""

    def mix(self, exchange: Exchange) -> np.ndarray:
        """The middle of own and neighbours' values."""
        return located(exchange, 1, _with_own, lambda others, own: middle(others))

    def fault(self, topology: Topology, liars: frozenset[int], iterations: int) -> str | None:
        """Whatever the graph is, there is one."""
        return "with the median no graph makes sure that honest agents come to agree"


def _with_own(others: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The median of the others, ascending, and one more: own, unless it lies outside what is then the middle.

    Of an odd number k of others it is the mean of own and the middle one, after own is brought between the two beside
    that one; of an even number it is own, brought between the two in the middle.
    """
    k = len(others)
    own = own + own.dtype.type(0.0)
    if k % 2 == 0:
        return np.minimum(np.maximum(own, others[k // 2 - 1]), others[k // 2])
    if k == 1:
        return _mean(others[0], own)
    return _mean(others[k // 2], np.minimum(np.maximum(own, others[k // 2 - 1]), others[k // 2 + 1]))


def middle(values: np.ndarray) -> np.ndarray:
    """The median of k values in ascending order: (k, m, c) -> (m, c)."""
    k = len(values)
    return values[k // 2] if k % 2 else _mean(values[k // 2 - 1], values[k // 2])


def _mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    half = one.dtype.type(0.5)
    return half * one + half * other


def make(settings: Settings, around: Surroundings) -> Median:
    """The condition."""
    return Median()
