"""One round of messages between neighbours, and what may happen to it: the seam between the network and its conditions.

The network hands every round to its conditions as one `Exchange`.  Messages leave the agents through the conditions in
the order of their phases (`Phase`) and arrive through them in the reverse one, so that each undoes on arrival what it
did before; but what is encoded is decoded first, with what both ends know when it is sent, however late it is used.
Chance comes from the run's seed, the condition's name, the iteration, the round and the link or agent alone: every
process computes the draws it needs, and they are the same for any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from types import MappingProxyType
from zlib import crc32

import numpy as np

from netac.comm.channels import Channel
from netac.comm.link_rows import LinkRows
from netac.comm.plan import Links, Plan
from netac.topology import Topology
from netac.utils.errors import RunError
from netac.utils.streams import Purpose, pair_uniforms

LOST, DELAYED, BITS, SECONDS = "lost", "delayed", "compressed_bits", "network_seconds"      # columns of metrics.csv
COLUMNS = (LOST, DELAYED, BITS, SECONDS)


class Phase(IntEnum):
    """When a condition has its turn as messages leave; they arrive in the reverse order, those of ENCODE first."""

    WHOLE = 0       # all of what is exchanged becomes something else: push-sum
    SAY = 1         # what an agent says: adversaries
    SEND = 2        # whether it says anything
    NOISE = 3       # what is added on the way
    ENCODE = 4      # the bits in which it travels
    DELAY = 5       # when it arrives
    LINK = 6        # whether it arrives
    MIX = 7         # what the receivers make of what has arrived


@dataclass
class Exchange:
    """One round of messages as this process sees it: its n agents, and the L links over which these hear others.

    Attributes:
        t, round: the iteration, and the number of exchanges before this one in it.
        what: the algorithm's name of what is exchanged; conditions that remember keep it apart.
        sums: whether the mixture is the sum over the neighbours; else it is the one with W_t.
        seed: the run's.
        agents: those of this process.
        plan: the own rows of W_t, or of the graph's sums.
        values: (n, width) what the agents hold and have mixed, double or single; not to be changed.
        sent: (n, W) what each of them tells its listeners, at first its values.
        own: (n, width) what stands for an agent itself beside what it hears, at first its values.
        gain: by what the differences between what is heard and `own` are multiplied, at first 1.
        truthful: (n,) whether an agent sends what it holds.
        bits: (n,) that one message of each takes.
        sends: (n,) whether it sends anything to its listeners.
        copies: (n,) how many messages it sends, where that is not one to each listener.
        hears: (n,) whether it hears anything: what comes to others is there neither for conditions nor for `mix`.
        packed: (n, bytes) the encoded messages; None where they travel as numbers.
        told: (n,) numbers that travel besides, by name, and are not counted: what a simulation needs.
        rows: (needed, W) what the agents that the plan needs have sent, while it is the same over all their links;
            (needed, bytes) until it is decoded, where `packed` is not None.
        held: (n, W) what the rows of the own agents are.
        said: (L,) whether the speaker sent something.
        heard: (L,) the speaker's `told`, by name.
        arrived: (L,) whether the links have brought anything.
        mix: makes of all this what the agents go on with, (n, width); at first `Exchange.average`.
        everyone: (n, k) of this process's agents -> (N, k) of all: for what only an onlooker could know, and not
            counted; all processes call it together.
        counts: (n,) by column of metrics.csv: what has happened to the agents so far, to be counted on.
        condition: a number of the condition that is asked now, for its draws.
    """

    t: int
    round: int
    what: str
    sums: bool
    seed: int
    agents: range
    plan: Plan
    values: np.ndarray
    sent: np.ndarray
    own: np.ndarray
    bits: np.ndarray
    sends: np.ndarray
    hears: np.ndarray
    mix: Callable[[Exchange], np.ndarray]
    truthful: np.ndarray
    everyone: Callable[[np.ndarray], np.ndarray]
    counts: dict[str, np.ndarray]
    gain: float = 1.0
    copies: np.ndarray | None = None
    packed: np.ndarray | None = None
    told: dict[str, np.ndarray] = field(default_factory=dict)
    rows: np.ndarray = field(init=False)
    held: np.ndarray | None = None
    _received: np.ndarray | None = None
    said: np.ndarray = field(init=False)
    heard: dict[str, np.ndarray] = field(default_factory=dict)
    arrived: np.ndarray = field(init=False)
    condition: int = 0

    @classmethod
    def of(cls, t: int, round: int, seed: int, agents: range, plan: Plan, values: np.ndarray, what: str = "",
           sums: bool = False, everyone: Callable[[np.ndarray], np.ndarray] = np.asarray,
           counts: dict[str, np.ndarray] | None = None) -> Exchange:
        """The exchange of `values` before anything has happened to it."""
        n = len(agents)
        return cls(t, round, what, sums, seed, agents, plan, values, sent=values, own=values,
                   bits=np.full(n, 8 * values.shape[1] * values.itemsize), sends=np.ones(n, dtype=bool),
                   hears=np.ones(n, dtype=bool), mix=cls.average, truthful=np.ones(n, dtype=bool), everyone=everyone,
                   counts={} if counts is None else counts)

    @property
    def links(self) -> Links:
        """Which agent hears which one, and with which weight."""
        return self.plan.links

    @property
    def messages(self) -> np.ndarray:
        """(n,) how many each agent of this process sends."""
        if self.copies is not None:
            return self.copies
        return self.plan.degrees[self.agents.start:self.agents.stop] * self.sends

    def count(self, column: str, number: np.ndarray) -> None:
        """Count on: (n,) of this process's agents under a column of metrics.csv."""
        self.counts[column] = self.counts[column] + number if column in self.counts else number.astype(float)

    def count_links(self, column: str, which: np.ndarray) -> None:
        """Count on, at their hearers, the links (L,) for which `which` holds."""
        self.count(column, np.bincount(self.links.hearer[which], minlength=len(self.agents)))

    # --- chance ---

    def uniforms(self, draw: int = 0, both_ways: bool = False) -> np.ndarray:
        """A uniform in [0, 1) of every link, (L,), by (seed, condition, t, round, draw, link) alone.

        Args:
            draw: tells several of one exchange apart.
            both_ways: whether the two links of an edge have the same one.
        """
        hearer, speaker = self.links.hearer + self.agents.start, self.links.speaker
        if both_ways:
            hearer, speaker = np.minimum(hearer, speaker), np.maximum(hearer, speaker)
        return self._pairs(hearer, speaker, draw)

    def agent_uniforms(self, agents: np.ndarray, count: int, draw: int = 0) -> np.ndarray:
        """`count` uniforms of each agent (m,), (m, count), by (seed, condition, t, round, draw, agent) alone."""
        return self._pairs(np.repeat(agents, count), np.tile(np.arange(count), len(agents)), draw).reshape(-1, count)

    def link_uniforms(self, count: int, draw: int = 0) -> np.ndarray:
        """`count` uniforms of every link, (L, count)."""
        N = len(self.plan.degrees)
        link = (self.links.hearer + self.agents.start) * N + self.links.speaker
        return self.agent_uniforms(link, count, draw)

    def _pairs(self, first: np.ndarray, second: np.ndarray, draw: int) -> np.ndarray:
        return pair_uniforms(self.seed, Purpose.NETWORK, (self.condition, self.t, self.round, draw), first, second)

    # --- mixing ---

    def average(self) -> np.ndarray:
        """x_i + gain sum_j W_ij (x_j - own_i) over what arrived; as W x where own_i is x_i: (n, width).

        The weight of what did not arrive goes to the receiver's own entry.
        """
        plan, own, values = self.plan, self.own, self.values
        plain = own is values and self.gain == 1.0
        if self._received is not None or (self.sums and not self.arrived.all()):       # sums have no own entries
            heard = np.where(self.arrived[:, None], self.received, own[self.links.hearer])
            mixed = plan.by_link.apply(np.concatenate([own, heard]))
        else:
            weights = plan.without(~self.arrived)
            onto = None if plain or self.sums else values.copy()
            if onto is not None:
                weights = plan.towards(weights, self.gain)
            if self.held is own:
                mixed = plan.apply(self.rows, weights, onto)
            else:
                mixed = plan.by_speaker.apply(np.concatenate([own, self.rows]), weights, onto)
            if onto is not None:
                return mixed
        if plain:
            return mixed
        if self.sums:
            number = plan.heard_by[:, None].astype(own.dtype)
            own, values = number * own, number * values
        mixed -= own
        mixed *= own.dtype.type(self.gain)
        mixed += values
        return mixed

    # --- on the way ---

    def travelling(self) -> np.ndarray:
        """What travels for each agent: the numbers of `told`, whether it sends, and its message, (n, bytes)."""
        message = np.ascontiguousarray(self.sent if self.packed is None else self.packed)
        head = np.column_stack([self.sends, *(self.told[name] for name in sorted(self.told))]).astype(float)
        return np.concatenate([head.view(np.uint8), message.view(np.uint8).reshape(len(head), -1)], axis=1)

    def unpack(self, needed: np.ndarray | None) -> None:
        """What has come of the agents that the plan needs, (needed, bytes); None where these are all here."""
        names, place = sorted(self.told), self.links.place
        if needed is None:
            said = self.sends
            heads = [self.told[name] for name in names]
            self.rows = self.sent if self.packed is None else self.packed
        else:
            after = 8 * (1 + len(names))
            head = np.ascontiguousarray(needed[:, :after]).view(float)
            said, heads = head[:, 0] != 0.0, [head[:, k] for k in range(1, 1 + len(names))]
            rows = np.ascontiguousarray(needed[:, after:])
            self.rows = rows if self.packed is not None else rows.view(self.sent.dtype)
        self.held = self.sent if self.packed is None else None
        self.said = said[place]
        self.arrived = self.said & self.hears[self.links.hearer]
        self.heard = {name: numbers[place] for name, numbers in zip(names, heads, strict=True)}

    @property
    def received(self) -> np.ndarray:
        """(L, W) what the links have brought; without meaning where nothing arrived."""
        if self._received is None:
            self._received = self.rows[self.links.place]
        return self._received

    @received.setter
    def received(self, numbers: np.ndarray) -> None:
        self._received = numbers


@dataclass(frozen=True)
class Surroundings:
    """What a condition may know of the experiment when it is made.

    Attributes:
        topology: loaded.
        iterations: T.
        conditions: the keys of all in the table [network].
        allow_insecure: whether there may be more liars than the graph bears.
    """

    topology: Topology
    iterations: int
    conditions: frozenset[str] = frozenset()
    allow_insecure: bool = False


class Condition:
    """Something that happens to messages.  It has no part in what algorithms do, and they know nothing of it.

    Attributes:
        phase: when it has its turn.
        columns: those of metrics.csv that it fills, of `COLUMNS`.
        unlike: names of conditions that it does not go with, and why.
        notes: what a user should know of a run with it.
        alters: whether messages may say other than what their senders hold, or held, and do not mean to lie.
        keeps: how many messages of every agent, and of every link, are kept for it.
        name: by which checkpoints and draws know it, its key in the table [network]; without one its place in the
            network's order.
        rows: what each agent of this process keeps for it between exchanges, (n, D) by name, with the same names and D
            in every process.  It is checkpointed, and there again before the first exchange of a resumed run; what is
            not there is made when it is first needed.
        link_rows: the same of every link over which an agent hears another.
    """

    phase: Phase = Phase.LINK
    columns: tuple[str, ...] = ()
    unlike: Mapping[str, str] = MappingProxyType({})
    notes: tuple[str, ...] = ()
    alters: bool = False
    keeps: tuple[float, float] = (0.0, 0.0)
    name = ""

    def __init__(self) -> None:
        """Without options; a subclass's own need not call this."""

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Nothing yet."""
        return {}

    @cached_property
    def link_rows(self) -> dict[str, LinkRows]:
        """Nothing yet."""
        return {}

    def look_around(self, conditions: Sequence[Condition]) -> None:
        """All conditions of the network have been made, and are given in their order: the last moment to refuse."""

    def depart(self, exchange: Exchange) -> None:
        """The agents' messages leave: `sent`, `packed`, `bits`, `sends`, `hears` and `told` may be replaced."""

    def arrive(self, exchange: Exchange) -> None:
        """They have come: `arrived`, `received`, `own`, `gain` and `mix` may be replaced.  Here a message is lost."""

    def state(self) -> dict[str, np.ndarray]:
        """What it keeps that is no agent's, the same in every process."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray]) -> None:
        """Take it up from a checkpoint, which holds the `rows` (N, D) of all agents, too."""


def depart(conditions: Sequence[Condition], exchange: Exchange) -> None:
    """Let the messages leave through all conditions, in order."""
    for place, condition in enumerate(conditions):
        exchange.condition = number(condition, place)
        condition.depart(exchange)


def number(condition: Condition, place: int) -> int:
    """By which draws tell conditions apart: of the name, so that others beside it do not change them."""
    return crc32(condition.name.encode()) if condition.name else place


@dataclass(frozen=True)
class UnderWay:
    """An exchange whose messages have left; `channel` carries them, None where nobody in the network hears another."""

    conditions: Sequence[Condition]
    exchange: Exchange
    channel: Channel | None

    def mixture(self) -> np.ndarray:
        """Wait for the messages, let them arrive through all conditions, and mix: (n, width)."""
        exchange = self.exchange
        exchange.unpack(None if self.channel is None else self.channel.received())
        backwards = reversed(list(enumerate(self.conditions)))
        for place, condition in sorted(backwards, key=lambda each: each[1].phase is not Phase.ENCODE):
            exchange.condition = number(condition, place)
            condition.arrive(exchange)
            if exchange.arrived.shape != exchange.said.shape:
                raise _misshapen([condition], "which links have brought something", exchange.arrived, exchange.said)
        exchange.arrived &= exchange.hears[exchange.links.hearer]       # whatever a hearer remembers, too
        mixed = exchange.mix(exchange)
        if mixed.shape != exchange.values.shape:
            raise _misshapen(self.conditions, "what agents go on with", mixed, exchange.values)
        return mixed.astype(exchange.values.dtype, copy=False)


def _misshapen(conditions: Sequence[Condition], what: str, found: np.ndarray, wanted: np.ndarray) -> RunError:
    names = ", ".join(f"network.{condition.name}" for condition in conditions)
    return RunError(f"{names}: {what} has the shape {found.shape}, in the place of {wanted.shape}")
