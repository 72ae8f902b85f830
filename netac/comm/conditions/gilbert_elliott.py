"""Messages are lost in bursts: every edge is good for a while, then bad (Gilbert, 1960; Elliott, 1963).

An edge e is good or bad in iteration t, in all its rounds; with P(good -> bad) = to_bad and P(bad -> good) = to_good

    P(s_e(0) = bad) = p = to_bad / (to_bad + to_good)
    P(s_e(t) = bad | s_e(t - k)) = p + (1 - to_bad - to_good)^k ([s_e(t - k) is bad] - p)

and in each round a message over it is lost with probability bad_loss or good_loss.  A burst lasts 1 / to_good
iterations in the mean.  An edge begins where it first appears, and goes on (k > 1) while it is not in the graph.  In a
directed graph whose edge i -> j appears in other iterations than j -> i, each of these has a course of its own.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netac.comm.conditions.loss import DRIFT, lose
from netac.comm.exchange import LOST, Condition, Exchange, Phase, Surroundings
from netac.comm.link_rows import LinkRows
from netac.utils.options import Options

CHAIN = "chain"          # of each link: 1 + the iteration that it was last met in, and whether it was bad then
STATE, FATE = 0, 1       # draws


class Settings(Options):
    """Options of `gilbert-elliott`."""

    to_bad: float = Field(ge=0, le=1, allow_inf_nan=False, description="P(good -> bad) from t to t + 1, 0 to 1")
    to_good: float = Field(0.5, gt=0, le=1, allow_inf_nan=False, description="P(bad -> good), more than 0, at most 1")
    good_loss: float = Field(0.0, ge=0, le=1, allow_inf_nan=False, description="that a good one loses a message")
    bad_loss: float = Field(1.0, ge=0, le=1, allow_inf_nan=False, description="that a bad one loses a message")
    both_ways: bool = Field(True, description=(
        "true: the two links of an edge are one, and averages keep their mean; false: each by itself"))


class GilbertElliott(Condition):
    """The module's equations."""

    phase, columns = Phase.LINK, (LOST,)

    def __init__(self, settings: Settings):
        self._settings = settings
        self._stays, self._bad = 1.0 - settings.to_bad - settings.to_good, settings.to_bad / (
            settings.to_bad + settings.to_good)
        if not settings.both_ways:
            self.notes = (DRIFT,)

    def arrive(self, exchange: Exchange) -> None:
        """Lose what the edges lose in this iteration."""
        chosen = self._settings
        loss = np.where(self._is_bad(exchange), chosen.bad_loss, chosen.good_loss)
        lose(exchange, exchange.uniforms(FATE, chosen.both_ways) < loss)

    def _is_bad(self, exchange: Exchange) -> np.ndarray:
        """Whether the links are bad in this iteration, (L,); their courses move on where they have not yet."""
        kept = self.link_rows.setdefault(CHAIN, LinkRows(len(exchange.agents), 2))
        places = kept.of(exchange.links)
        met, bad = kept.flat[places].T
        steps = exchange.t + 1 - met
        moves = steps > 0
        if moves.any():
            # Python's power: the same bits for any number of links
            lengths, which = np.unique(steps[moves], return_inverse=True)
            left = np.array([self._stays ** int(k) for k in lengths])[which]
            p = self._bad + np.where(met[moves] > 0, left * (bad[moves] - self._bad), 0.0)
            bad[moves] = exchange.uniforms(STATE, self._settings.both_ways)[moves] < p
            met[moves] = exchange.t + 1
            kept.flat[places] = np.stack([met, bad], axis=1)
        return bad > 0


def make(settings: Settings, around: Surroundings) -> GilbertElliott:
    """The condition."""
    return GilbertElliott(settings)
