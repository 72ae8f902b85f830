"""Agents exchange values in every K-th iteration only, and learn by themselves in between, as in federated averaging.

Messages are sent where t mod K = 0, in all rounds of that iteration.  Otherwise nothing is, and x~_i = x_i: averages
keep their mean.  With `hold` agents go on with what they heard last, also in the place of messages that get lost:

    x~_i = W_ii x_i + sum over j of W_ij y_ij,      y_ij the last x_j that i has received (x_i where there is none)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from netac.comm.conditions._memory import holding, use_last_heard
from netac.comm.exchange import Condition, Exchange, Phase, Surroundings
from netac.utils.errors import InputError
from netac.utils.options import Options

LOOKED_AT = 64       # graphs at most, when it is made


class Settings(Options):
    """Options of `skip`."""

    every: int = Field(ge=1, description="K, iterations from one exchange to the next")
    hold: bool = Field(False, description="whether what was heard last is used in between; then averages drift")


class Skip(Condition):
    """The module's equation."""

    phase = Phase.SEND

    def __init__(self, settings: Settings):
        self._settings = settings
        self.keeps = 0.0, float(settings.hold)
        if settings.hold:
            self.unlike = {"event-trigger": "both use what was heard last in the place of what is not sent"}

    def look_around(self, conditions: Sequence[Condition]) -> None:
        """Whether the mean drifts: not with push-sum, which keeps it."""
        if any(other.phase is Phase.WHOLE for other in conditions):
            return
        if self._settings.hold and (self._settings.every > 1 or holding(conditions, self)):
            self.notes = ("agents go on with what they heard last (network.skip.hold), so that consensus does not keep "
                          "the mean of what is mixed: it drifts",)

    def depart(self, exchange: Exchange) -> None:
        """Nothing is sent between two exchanges, nor heard without `hold`."""
        if exchange.t % self._settings.every:
            exchange.sends = np.zeros_like(exchange.sends)
            if not self._settings.hold:
                exchange.hears = np.zeros_like(exchange.hears)

    def arrive(self, exchange: Exchange) -> None:
        """With `hold`, the last values."""
        if self._settings.hold:
            use_last_heard(self, exchange)


def make(settings: Settings, around: Surroundings) -> Skip:
    """The condition; InputError where it would never let anybody hear anything."""
    K, T, topology = settings.every, around.iterations, around.topology
    if K > T:
        raise InputError("is longer than the run", key="every", found=K, valid=f"1 to {T}")
    if topology.period is not None and topology.period <= LOOKED_AT:
        period = topology.period
        edges = [topology.as_given(t).number_of_edges() for t in range(period)]
        if any(edges) and not any(edges[::math.gcd(K, period)]):
            raise InputError(f"no graph of the iterations 0, K, 2 K, ... has an edge: the topology has period {period}",
                             key="every", found=K,
                             valid="a K with which some has: one without a common divisor with that period")
    return Skip(settings)
