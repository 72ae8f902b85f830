"""Messages are lost, each by itself, with one probability; their weight goes to the receiver's own entry."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netac.comm.exchange import LOST, Condition, Exchange, Phase, Surroundings
from netac.utils.options import Options


class Settings(Options):
    """Options of `loss`."""

    probability: float = Field(ge=0, le=1, allow_inf_nan=False, description="that a message is lost, 0 to 1")
    both_ways: bool = Field(True, description=(
        "true: the two messages of an edge are lost together, and averages keep their mean; false: each by itself"))


class Loss(Condition):
    """A message over link (i, j) is lost where u_ij(t) < probability."""

    phase, columns = Phase.LINK, (LOST,)

    def __init__(self, settings: Settings):
        self._settings = settings
        if settings.probability and not settings.both_ways:
            self.notes = (DRIFT,)

    @property
    def probability(self) -> float:
        """That a message is lost."""
        return self._settings.probability

    def arrive(self, exchange: Exchange) -> None:
        """Lose them."""
        lost = exchange.uniforms(both_ways=self._settings.both_ways) < self._settings.probability
        lose(exchange, lost)


DRIFT = ("messages get lost in one direction alone, so that consensus does not keep the mean of what is mixed: it "
         "drifts (network.push-sum keeps it)")


def lose(exchange: Exchange, lost: np.ndarray) -> None:
    """What is sent over links where `lost` (L,) holds does not arrive."""
    exchange.count_links(LOST, lost & exchange.arrived)
    exchange.arrived &= ~lost


def make(settings: Settings, around: Surroundings) -> Loss:
    """The condition."""
    return Loss(settings)
