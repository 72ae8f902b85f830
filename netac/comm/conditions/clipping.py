"""Agents mix with messages brought near: what differs from their own values is clipped to a length of `radius`.

    x_i <- x_i + sum over j of W_ij clip(x_j - x_i, radius),      clip(v, radius) = min(1, radius / |v|) v

(He, Karimireddy and Jaggi, 2022, "Byzantine-robust decentralized learning via ClippedGossip"), |v| the Euclidean norm
of the whole message, whatever it is that is mixed.  So a liar moves an agent by at most W_ij radius in an exchange,
and one whose message holds what is no number, not at all.  With symmetric weights W and messages that get lost in both
directions or in none, the two ends of an edge move by opposite amounts, and the mean of all agents is kept; with other
doubly stochastic weights it is not.  Where nothing is longer than the radius this is the average, bit for bit.

What the liars' pushes add up to has no bound over time unless the radius shrinks with the honest agents' disagreement,
which nobody here knows; so nothing is promised where agents lie.

Where an algorithm asks for the sum over its neighbours, it is sum over j in N_i of (x_i + clip(x_j - x_i, radius)).
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netac.comm.conditions._robust import BLOCK, RobustMixing
from netac.comm.exchange import Exchange, Surroundings
from netac.topology import Topology
from netac.utils.options import Options


class Settings(Options):
    """Options of `clipping`."""

    radius: float = Field(gt=0, allow_inf_nan=False, description=(
        "to what length the difference between a message and the agent's own values is cut, > 0"))


class ClippedMixing(RobustMixing):
    """See the module."""

    drifts = False

    def __init__(self, settings: Settings):
        self._radius = settings.radius

    def mix(self, exchange: Exchange) -> np.ndarray:
        """The average of clipped messages."""
        exchange.received, exchange.arrived = exchange.received.copy(), exchange.arrived.copy()
        step = max(1, BLOCK // (8 * max(1, exchange.received.shape[1])))
        for first in range(0, len(exchange.arrived), step):
            some = slice(first, first + step)
            own = exchange.own[exchange.links.hearer[some]].astype(float)
            apart = exchange.received[some] - own
            share = self._radius / np.maximum(lengths(apart), self._radius)
            cut = share < 1.0
            exchange.received[some][cut] = own[cut] + share[cut, None] * apart[cut]
            exchange.arrived[some] &= np.isfinite(apart).all(axis=1)
        return exchange.average()

    def fault(self, topology: Topology, liars: frozenset[int], iterations: int) -> str | None:
        """Whatever the graph is, there is one."""
        return "clipping with one radius bounds what a liar does in an exchange, not what it does in many"


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Euclidean norms of rows, (L, d) -> (L,), which do not overflow."""
    largest = np.abs(vectors).max(axis=1, initial=np.finfo(float).tiny)
    return largest * np.sqrt(np.square(vectors / largest[:, None]).sum(axis=1))


def make(settings: Settings, around: Surroundings) -> ClippedMixing:
    """The condition."""
    return ClippedMixing(settings)
