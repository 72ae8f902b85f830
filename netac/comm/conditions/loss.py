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
    """A message over link (i, j) is lost where u_ij(t) < probability.

    Attributes:
        probability, both_ways: as in `Settings`.
    """

    phase, columns = Phase.LINK, (LOST,)

    def __init__(self, settings: Settings):
        self.probability, self.both_ways = settings.probability, settings.both_ways
        if self.probability and not self.both_ways:
            self.notes = (DRIFT,)

    def arrive(self, exchange: Exchange) -> None:
        """Lose them."""
        lost = exchange.uniforms(both_ways=self.both_ways) < self.probability
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
