"""Agents send only what has changed by more than a threshold since they sent it last; others use what they heard last.

Agent i sends x_i(t) where, with s_i the value that it sent last, there is none yet or

    max_k |x_ik - s_ik| > threshold / (t + 1)^decay     (times max_k |x_ik| if `relative`)

and goes on, with y_ij the last x_j that it has received, also where messages get lost, with

    x~_i = W_ii x_i + sum over j of W_ij y_ij           (own = "value")
    x~_i = x_i + sum over j of W_ij (y_ij - s_i)        (own = "sent")

The first is a mean of values, whatever gets lost; it pulls x_i back to what was said earlier.  With the second
(Seyboth, Dimarogonas and Johansson, 2013, "Event-based broadcasting for multi-agent average consensus") what an agent
learns stays until it is news, and averages keep their mean where nothing is lost, the graph does not change and W is
symmetric.

Where there is no y_ij yet nothing arrives: so over a link that is new in the graph, until the speaker sends.  s and y
are kept for each kind of value, whichever round of an iteration it is in.  An agent without a listener sends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np
from pydantic import Field

from netac.comm.conditions._memory import holding, use_last_heard
from netac.comm.exchange import Condition, Exchange, Phase, Surroundings
from netac.utils.options import Options


class Settings(Options):
    """Options of `event-trigger`."""

    threshold: float = Field(ge=0, allow_inf_nan=False, description="largest change that is not sent, at least 0")
    relative: bool = Field(False, description="whether it is a multiple of the largest |x_ik|")
    own: Literal["value", "sent"] = Field("value", description=(
        "what stands for an agent beside what it has heard: its value, or what it sent last, as the others know it"))
    decay: float = Field(0.0, ge=0, le=100, allow_inf_nan=False, description=(
        "the power of 1 / (t + 1) with which it shrinks, at least 0"))


class EventTrigger(Condition):
    """The module's equations."""

    phase = Phase.SEND
    unlike = MappingProxyType({"push-sum": "what travels changes in every exchange, whatever the agents' values do"})

    def __init__(self, settings: Settings, changes: bool):
        self._settings, self._changes, self.alters = settings, changes, settings.own == "sent"
        self.keeps = 2.0 if settings.own == "sent" else 1.0, 1.0
        self._says = np.empty((0, 0))       # what would be sent in the exchange that is under way

    def look_around(self, conditions: Sequence[Condition]) -> None:
        """Whether the mean drifts."""
        if self._settings.own == "value" or self._changes or holding(conditions, self):
            self.notes = ("agents go on with what they heard last (network.event-trigger), so that consensus does not "
                          "keep the mean of what is mixed: it drifts",)

    def depart(self, exchange: Exchange) -> None:
        """Send what is news."""
        x, chosen = exchange.sent, self._settings
        W, kept = x.shape[1], self._sent(exchange)
        bound = chosen.threshold * (exchange.t + 1.0) ** -chosen.decay         # which may underflow to 0
        most = bound * np.abs(x).max(axis=1) if chosen.relative else bound
        known = np.abs(x - kept[:, :W]).max(axis=1) <= most            # false where a number is none
        listened_to = exchange.plan.degrees[exchange.agents.start:exchange.agents.stop] > 0
        exchange.sends = exchange.sends & listened_to & ~((kept[:, W] > 0) & known)
        self._says = x

    def arrive(self, exchange: Exchange) -> None:
        """Keep what was sent, by what other conditions left of it, and what has come; use the last."""
        went, kept = exchange.sends, self._sent(exchange)
        kept[went, :-1] = self._says[went]
        kept[went, -1] = 1.0
        use_last_heard(self, exchange)
        if self._settings.own == "sent":
            known = self.rows.setdefault(f"own_{exchange.what}", np.zeros_like(exchange.values))
            known[went] = exchange.own[went]                           # as it was encoded
            exchange.own = np.where(exchange.truthful[:, None] & (kept[:, -1:] > 0), known, exchange.own)

    def _sent(self, exchange: Exchange) -> np.ndarray:
        """(n, W + 1): s, and whether there is one."""
        n, W = exchange.sent.shape
        return self.rows.setdefault(f"sent_{exchange.what}", np.zeros((n, W + 1), exchange.sent.dtype))


def make(settings: Settings, around: Surroundings) -> EventTrigger:
    """The condition."""
    return EventTrigger(settings, around.topology.period != 1)
