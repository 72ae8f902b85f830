"""Agents are asleep now and then, or crash: they neither send nor hear, but go on learning by themselves.

In iterations start <= t < end each of the chosen agents is asleep with `probability`, drawn anew in every iteration and
for each by itself.  Chosen are `agents`, or round(fraction N) of all, drawn from the run's seed, or all.  Without `end`
and with probability 1 they crash for good.

The weight of what would have come from or to a sleeping agent goes to the other's and to its own entry; with symmetric
weights averages keep their mean.  What is sent to one that sleeps is sent, and lost.  `delay`, `event-trigger` and
`skip` with `hold` keep what was heard before: others use what an agent said before it fell asleep, and so does it of
others once it is awake.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netac.comm.exchange import LOST, Condition, Exchange, Phase, Surroundings
from netac.utils.errors import InputError
from netac.utils.options import Options
from netac.utils.streams import Purpose, pair_uniforms

ASLEEP, CHOSEN = 0, 1       # draws


class Settings(Options):
    """Options of `sleep`."""

    probability: float = Field(1.0, ge=0, le=1, allow_inf_nan=False, description=(
        "that a chosen agent is asleep in an iteration, 0 to 1"))
    agents: list[int] | None = Field(None, description="those that sleep, counted from 0; without them, all")
    fraction: float | None = Field(None, ge=0, le=1, allow_inf_nan=False, description=(
        "in their place: the share of agents that sleep, 0 to 1, drawn from the seed"))
    start: int = Field(0, ge=0, description="the first iteration in which they do")
    end: int | None = Field(None, ge=1, description="the first in which they do no more; without it, never")


class Sleep(Condition):
    """Of N agents: a speaker that is asleep sends nothing, a hearer that is asleep hears nothing."""

    phase, columns = Phase.SEND, (LOST,)

    def __init__(self, settings: Settings, N: int):
        self._settings, self._N = settings, N
        self._chosen: np.ndarray | None = None

    def depart(self, exchange: Exchange) -> None:
        """Who sleeps does not send, and is deaf."""
        chosen, own = self._settings, np.arange(exchange.agents.start, exchange.agents.stop)
        if not chosen.start <= exchange.t < (exchange.t + 1 if chosen.end is None else chosen.end):
            return
        awake = ~self._who(exchange)[own]
        if chosen.probability < 1.0:
            awake |= _uniforms(exchange, exchange.t, ASLEEP, own) >= chosen.probability
        exchange.sends = exchange.sends & awake
        exchange.hears = exchange.hears & awake

    def arrive(self, exchange: Exchange) -> None:
        """Count what was sent to those that sleep."""
        exchange.count_links(LOST, exchange.said & ~exchange.hears[exchange.links.hearer])

    def _who(self, exchange: Exchange) -> np.ndarray:
        """Which of all agents may sleep, (N,)."""
        if self._chosen is None:
            chosen, who = self._settings, np.zeros(self._N, dtype=bool)
            if chosen.agents is not None:
                who[chosen.agents] = True
            elif chosen.fraction is not None:
                drawn = _uniforms(exchange, 0, CHOSEN, np.arange(self._N))
                who[np.argsort(drawn, kind="stable")[:_number(chosen.fraction, self._N)]] = True
            else:
                who[:] = True
            self._chosen = who
        return self._chosen


def _uniforms(exchange: Exchange, t: int, draw: int, agents: np.ndarray) -> np.ndarray:
    """A uniform of each agent (m,), the same in all rounds of an iteration."""
    key = exchange.condition, t, 0, draw
    return pair_uniforms(exchange.seed, Purpose.NETWORK, key, agents, np.zeros_like(agents))


def _number(fraction: float, N: int) -> int:
    return int(fraction * N + 0.5)


def make(settings: Settings, around: Surroundings) -> Sleep:
    """The condition; InputError where the agents or iterations are none of the run's."""
    N, T, start, end = around.topology.agents, around.iterations, settings.start, settings.end
    if settings.agents is not None:
        if settings.fraction is not None:
            raise InputError("says who sleeps, and agents does", key="fraction", found=settings.fraction,
                             valid="one of agents and fraction")
        wrong = [agent for agent in settings.agents if not 0 <= agent < N]
        if wrong or not settings.agents:
            raise InputError("there is no such agent" if wrong else "names no agent", key="agents",
                             found=wrong[0] if wrong else [], valid=f"some of 0 to {N - 1}")
    if settings.fraction and not _number(settings.fraction, N):
        raise InputError(f"is less than half an agent of {N}", key="fraction", found=settings.fraction,
                         valid=f"0, or at least {0.5 / N:.3g}")
    if start >= T:
        raise InputError("is after the run's last iteration", key="start", found=start, valid=f"0 to {T - 1}")
    if end is not None and not start < end <= T:
        raise InputError("the agents must wake up after they fall asleep, within the run", key="end", found=end,
                         valid=f"{start + 1} to {T}, or without it")
    if (settings.probability, settings.agents, settings.fraction, start, end) == (1.0, None, None, 0, None):
        raise InputError("all agents would be asleep all the time",
                         valid="a probability below 1, agents, a fraction, start or end")
    return Sleep(settings, N)
