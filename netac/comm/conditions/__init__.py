"""What happens to messages between neighbours: lost, late, compressed, noisy or untrue, and mixed in another way.

The network hands every round of messages to its conditions as one `Exchange`.  Messages leave the agents through the
conditions in their order and arrive through them in the reverse one, so that each undoes on arrival what it did before.
Chance comes from the run's seed, the iteration and the link alone (`Exchange.uniforms`): every process computes the
draws it needs, and they are the same for any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from netac.comm.channels import Channel
from netac.comm.plan import Links, Plan
from netac.utils.streams import Purpose, pair_uniforms


@dataclass
class Exchange:
    """One round of messages as this process sees it: its n agents, and the L links over which these hear others.

    Attributes:
        t, round: the iteration, and the number of exchanges before this one in it.
        seed: the run's.
        agents: those of this process.
        plan: the own rows of W_t.
        values: (n, width) what the agents hold and have mixed, double or single; not to be changed.
        sent: (n, W) what each of them tells its listeners, at first its values.
        nbytes: (n,) bytes that one message of each takes.
        sends: (n,) whether it sends anything to its listeners.
        received: (L, W) what the links have brought; without meaning where nothing arrived.
        arrived: (L,) whether they have.
        mix: makes of all this what the agents go on with, (n, width); at first `Exchange.average`.
        condition: the place in the network's order of the condition that is asked now.
    """

    t: int
    round: int
    seed: int
    agents: range
    plan: Plan
    values: np.ndarray
    sent: np.ndarray
    nbytes: np.ndarray
    sends: np.ndarray
    received: np.ndarray
    arrived: np.ndarray
    mix: Callable[[Exchange], np.ndarray]
    condition: int = 0

    @classmethod
    def of(cls, t: int, round: int, seed: int, agents: range, plan: Plan, values: np.ndarray) -> Exchange:
        """The exchange of `values` before anything has happened to it."""
        n, heard = len(agents), len(plan.links.hearer)
        return cls(t, round, seed, agents, plan, values, sent=values,
                   nbytes=np.full(n, values.shape[1] * values.itemsize), sends=np.ones(n, dtype=bool),
                   received=np.zeros((heard, values.shape[1]), values.dtype), arrived=np.zeros(heard, dtype=bool),
                   mix=cls.average)

    @property
    def links(self) -> Links:
        """Which agent hears which one, and with which weight."""
        return self.plan.links

    def uniforms(self, draw: int = 0, both_ways: bool = False) -> np.ndarray:
        """A uniform in [0, 1) of every link, (L,), which depends on (seed, condition, t, draw, link) alone.

        Args:
            draw: tells several of one iteration apart, such as those of its rounds.
            both_ways: whether the two links of an edge have the same one.
        """
        hearer, speaker = self.links.hearer + self.agents.start, self.links.speaker
        if both_ways:
            hearer, speaker = np.minimum(hearer, speaker), np.maximum(hearer, speaker)
        return pair_uniforms(self.seed, Purpose.NETWORK, (self.condition, self.t, draw), hearer, speaker)

    def average(self) -> np.ndarray:
        """sum_j W_ij x_j over what arrived; the weight of what did not goes to the receiver's own entry: (n, width)."""
        heard = np.where(self.arrived[:, None], self.received, self.values[self.links.hearer])
        return self.plan.by_link.apply(np.concatenate([self.values, heard]))

    def packed(self) -> np.ndarray:
        """What travels for each agent: its message and, behind it, whether it is one, (n, W + 1)."""
        return np.concatenate([self.sent, self.sends[:, None]], axis=1, dtype=self.values.dtype)

    def unpack(self, needed: np.ndarray) -> None:
        """What has come of the agents that the plan needs, (needed, W + 1)."""
        came = needed[self.links.place]
        self.received, self.arrived = came[:, :-1], came[:, -1] != 0.0


class Condition(Protocol):
    """Something that happens to messages.  It has no part in what algorithms do, and they know nothing of it.

    Attributes:
        rows: what each agent of this process keeps for it between exchanges, (n, D) by name, with the same names and D
            in every process.  It is checkpointed, and there again before the first exchange of a resumed run; what is
            not there is made when it is first needed.
    """

    rows: dict[str, np.ndarray]

    def depart(self, exchange: Exchange) -> None:
        """The agents' messages leave: `sent`, `nbytes` and `sends` may be replaced."""

    def arrive(self, exchange: Exchange) -> None:
        """They have come: `arrived`, `received` and `mix` may be replaced.  Here a message is lost."""

    def state(self) -> dict[str, np.ndarray]:
        """What it keeps that is no agent's, the same in every process."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take it up from a checkpoint."""


def depart(conditions: Sequence[Condition], exchange: Exchange) -> None:
    """Let the messages leave through all conditions, in order."""
    for exchange.condition, condition in enumerate(conditions):
        condition.depart(exchange)


@dataclass(frozen=True)
class UnderWay:
    """An exchange whose messages have left; `channel` carries them, None where nobody in the network hears another."""

    conditions: Sequence[Condition]
    exchange: Exchange
    channel: Channel | None

    def mixture(self) -> np.ndarray:
        """Wait for the messages, let them arrive through all conditions, in reverse order, and mix: (n, width)."""
        exchange = self.exchange
        exchange.unpack(exchange.packed() if self.channel is None else self.channel.received())
        for exchange.condition, condition in reversed(list(enumerate(self.conditions))):
            condition.arrive(exchange)
        return exchange.mix(exchange)
