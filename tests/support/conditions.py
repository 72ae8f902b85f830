"""Conditions of the network that tests need, and small experiments over which they lie."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from netac.comm.exchange import Condition, Exchange
from netac.comm.network import Network
from netac.experiment import build
from support import neural_variants, variants


class Loss(Condition):
    """Messages are lost with probability 1/3, both of an edge together or each by itself.

    How many exchanges there have been, which it keeps, is part of the draws.
    """

    def __init__(self, both_ways: bool = True):
        self._both_ways, self._asked = both_ways, 0

    def arrive(self, exchange: Exchange) -> None:
        exchange.arrived &= exchange.uniforms(self._asked, self._both_ways) >= 1 / 3
        self._asked += 1

    def state(self) -> dict[str, np.ndarray]:
        return {"asked": np.array(self._asked)}

    def restore(self, state, rows) -> None:
        self._asked = int(state["asked"])


class Smoothing(Condition):
    """Agents send the average of this message and the last one in the same round of an iteration."""

    def depart(self, exchange: Exchange) -> None:
        name, now = f"last{exchange.round}", exchange.sent.copy()
        exchange.sent = 0.5 * (now + self.rows.get(name, now))
        self.rows[name] = now


class Skipping(Condition):
    """An agent sends only what has moved by more than a threshold, in half the bytes; others use what they heard last.

    What was never heard does not arrive.
    """

    def __init__(self, threshold: float):
        self._threshold = threshold

    def depart(self, exchange: Exchange) -> None:
        last = self.rows.setdefault(f"told{exchange.round}", np.full_like(exchange.sent, np.inf))
        exchange.sends = np.abs(exchange.sent - last).max(axis=1) > self._threshold
        exchange.bits = exchange.bits // 2
        last[exchange.sends] = exchange.sent[exchange.sends]

    def arrive(self, exchange: Exchange) -> None:
        N, width = len(exchange.plan.degrees), exchange.received.shape[1]
        heard = self.rows.setdefault(f"heard{exchange.round}",
                                     np.full((len(exchange.agents), N * width), np.nan, exchange.values.dtype))
        of = heard.reshape(-1, N, width)
        hearer, speaker = exchange.links.hearer, exchange.links.speaker
        of[hearer[exchange.arrived], speaker[exchange.arrived]] = exchange.received[exchange.arrived]
        exchange.received = of[hearer, speaker]
        exchange.arrived = ~np.isnan(exchange.received).any(axis=1)


def median(exchange: Exchange) -> np.ndarray:
    """Per coordinate over the closed neighbourhood."""
    heard = [exchange.received[(exchange.links.hearer == k) & exchange.arrived] for k in range(len(exchange.agents))]
    return np.array([np.median(np.vstack([own, others]), axis=0)
                     for own, others in zip(exchange.values, heard, strict=True)], exchange.values.dtype)


class Median(Condition):
    """The median takes the place of the average."""

    def arrive(self, exchange: Exchange) -> None:
        exchange.mix = median


CONDITIONS = {"loss": lambda: [Loss()], "smoothing": lambda: [Smoothing()], "skipping": lambda: [Skipping(1e-3)],
              "all": lambda: [Smoothing(), Skipping(1e-3), Loss(both_ways=False), Median()]}
EXPERIMENTS = ("cac-gossip", "dac-state_value-average", "mdac-rounds")
NAMES = [f"{name} {conditions}" for name in EXPERIMENTS for conditions in CONDITIONS]
NEURAL = ["neural cac-normalised loss", "neural cac-normalised all", "neural mdac all"]


def experiment(name: str) -> dict[str, Any]:
    """The experiment of "NAME CONDITIONS"."""
    if name.startswith("neural "):
        return neural_variants.experiment(name.split()[1], 11)
    return variants.experiment(name.split()[0])


@contextmanager
def under(conditions: str):
    """Networks that are built meanwhile have these conditions."""
    def network(matrix, placement, ledger, comm=None, conditions=(), seed=0):
        return Network(matrix, placement, ledger, comm, conditions=made, seed=seed)

    made: Sequence[Condition] = CONDITIONS[conditions.split()[-1]]()
    build.Network = network
    try:
        yield made
    finally:
        build.Network = Network
