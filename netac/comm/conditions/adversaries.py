"""Some agents lie: what they send is not what they hold.

In the place of x_i an agent that lies sends, with `scale` c:

    sign-flip            -c x_i, c = 1
    scaled               c x_i, c = 10
    random               c times standard normal numbers, new in every exchange, c = 10
    constant             c, everywhere, c = 10
    a-little-is-enough   m - c s, where m and s are the mean and the standard deviation of what the honest agents would
                         send, coordinate by coordinate (Baruch, Baruch and Goldberg, 2019): so near to them that it
                         looks honest.  Of N agents, k of which lie, c is by default the paper's:
                         the quantile of the standard normal distribution at (N - k - v) / (N - k), where
                         v = floor(N / 2 + 1) - k honest ones are to be won over

Liars mix and learn as the others do, from what they hear.

A run is refused where the way in which agents mix does not bear the liars, unless `allow_insecure = true`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from netac.comm.conditions._robust import altering, not_borne
from netac.comm.exchange import Condition, Exchange, Phase, Surroundings
from netac.utils.errors import InputError
from netac.utils.options import Options
from netac.utils.streams import normal

Attack = Literal["sign-flip", "scaled", "random", "constant", "a-little-is-enough"]
SCALES = {"sign-flip": 1.0, "scaled": 10.0, "random": 10.0, "constant": 10.0}
LITTLE = "a-little-is-enough"
REMEDY = ("trimmed-mean = f with at most f liars among the neighbours of an honest agent, on a graph that is "
          "(2 f + 1)-robust; fewer liars; or allow_insecure = true in [network]")


class Settings(Options):
    """Options of `adversaries`."""

    attack: Attack = Field(description="what liars send: " + ", ".join([*SCALES, LITTLE]))
    number: Annotated[int, Field(ge=0)] | None = Field(None, description="how many lie: the last so many agents")
    agents: list[Annotated[int, Field(ge=0)]] | None = Field(None, description=(
        "which agents lie, in the place of number"))
    scale: Annotated[float, Field(allow_inf_nan=False)] | None = Field(None, description=(
        "c, how far from the truth; each attack has a default of its own"))


class Adversaries(Condition):
    """See the module.

    Args:
        liars: who lies.
        scale: c.
        key: the option that says who lies.
    """

    phase = Phase.SAY

    def __init__(self, attack: str, liars: frozenset[int], scale: float, key: str, around: Surroundings):
        self._attack, self.liars, self._scale, self._key, self._around = attack, liars, scale, key, around
        self._honest = np.array([i for i in range(around.topology.agents) if i not in liars])

    def look_around(self, conditions: Sequence[Condition]) -> None:
        """Refuse liars that the way of mixing does not bear."""
        if self._around.allow_insecure or not self.liars:
            return
        mixing = next((condition for condition in conditions if condition.phase is Phase.MIX), None)
        fault = not_borne(mixing, conditions, self._around.topology, self.liars, self._around.iterations)
        if fault:
            altered = altering(conditions) if mixing is not None else ""
            remedy = f"{self.name} without {altered}; or allow_insecure = true in [network]" if altered else REMEDY
            raise InputError(f"the liars are not borne: {fault}", key=f"network.{self.name}.{self._key}",
                             found=len(self.liars) if self._key == "number" else sorted(self.liars), valid=remedy)

    def depart(self, exchange: Exchange) -> None:
        """Replace what liars send."""
        rows = np.array([i for i, agent in enumerate(exchange.agents) if agent in self.liars], dtype=int)
        told = self._told(exchange, rows)
        exchange.truthful = exchange.truthful.copy()
        exchange.truthful[rows] = False
        exchange.sent = exchange.sent.copy()
        exchange.sent[rows] = told

    def _told(self, exchange: Exchange, rows: np.ndarray) -> np.ndarray | float:
        """What the liars in `rows` send: (rows, W), or as one row or number for all."""
        if self._attack == LITTLE:
            honest = np.ascontiguousarray(exchange.everyone(exchange.sent), dtype=float)[self._honest]
            return honest.mean(axis=0) - self._scale * honest.std(axis=0)
        if self._attack == "constant":
            return self._scale
        if self._attack == "random":
            uniforms = exchange.agent_uniforms(rows + exchange.agents.start, exchange.sent.shape[1])
            return self._scale * normal(uniforms)
        return (-self._scale if self._attack == "sign-flip" else self._scale) * exchange.sent[rows]


def make(settings: Settings, around: Surroundings) -> Adversaries:
    """The condition.

    Raises:
        InputError: agents that do not exist, no honest one, or an attack that needs its scale said.
    """
    N = around.topology.agents
    if (settings.number is None) == (settings.agents is None):
        raise InputError("needs one of the options number and agents",
                         key=None if settings.number is None else "agents",
                         valid="number = 2, the last two agents; or agents = [0, 3]")
    if settings.agents is None:
        key, number = "number", settings.number or 0
        liars = frozenset(range(max(0, N - number), N))
    else:
        key, liars, number = "agents", frozenset(settings.agents), len(set(settings.agents))
        if wrong := sorted(agent for agent in liars if agent >= N):
            raise InputError("there is no such agent", key=key, found=wrong[0], valid=f"0 to {N - 1}")
        if number < len(settings.agents):
            raise InputError("names an agent twice", key=key, found=settings.agents, valid="every agent once")
    if number >= N:
        raise InputError(f"there are {N} agents, one of which must be honest", key=key,
                         found=number if key == "number" else settings.agents, valid=f"at most {N - 1}")
    scale = settings.scale
    if scale is None:
        scale = SCALES[settings.attack] if settings.attack != LITTLE else quantile(N, number)
    return Adversaries(settings.attack, liars, scale, key, around)


def quantile(agents: int, liars: int) -> float:
    """The paper's largest deviation, in standard deviations, that looks honest among N agents.

    Raises:
        InputError: it is not finite, as where liars are the majority, who need not look honest.
    """
    from scipy.special import ndtri
    won = agents // 2 + 1 - liars
    share = (agents - liars - won) / (agents - liars)
    if not 0 < share < 1:
        raise InputError(f"{LITTLE} has no scale of its own for {liars} liars among {agents} agents", key="scale",
                         valid="a number, such as scale = 1.5")
    return float(ndtri(share))
