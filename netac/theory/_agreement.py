"""Honest agents that mix among liars, without learning: whether they stay among their first values, and agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from netac import topology
from netac.comm.exchange import Condition, Exchange, Phase
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.experiment import config
from netac.topology.closed_sets import disjoint_closed_sets
from netac.topology.robustness import adjacency, robustness
from netac.utils.errors import InputError

WIDTH = 8                   # numbers an agent holds
NONE, TWO_FACED = "none", "two-faced"
SCALES: dict[str, tuple[float, ...]] = {                    # netac's defaults, and far from them
    "sign-flip": (1.0, 1000.0), "scaled": (10.0, -1000.0), "random": (10.0, 1000.0), "constant": (10.0, -1000.0),
    "a-little-is-enough": (1.5, 100.0)}
DEFENCES = ("average", "trimmed-mean", "median", "clipping")
RADIUS = 1.0                # of clipping


class TwoFaced(Condition):
    """Liars that know all and tell every hearer what keeps it away from the others, coordinate by coordinate.

    Who holds more than the middle of the honest agents' smallest and largest value hears the largest of them, who
    holds less the smallest, so that no number looks like a lie.  The liars of `netac.comm.conditions.adversaries`
    tell all their hearers the same.
    """

    phase = Phase.SAY

    def __init__(self, liars: tuple[int, ...]):
        self._liars = liars

    def arrive(self, exchange: Exchange) -> None:
        """Replace what the liars' links have brought."""
        honest = np.delete(exchange.everyone(exchange.values), self._liars, axis=0)
        low, high = honest.min(axis=0), honest.max(axis=0)
        lies = np.isin(exchange.links.speaker, self._liars)
        own = exchange.values[exchange.links.hearer[lies]]
        exchange.received = exchange.received.copy()
        exchange.received[lies] = np.where(own > (low + high) / 2.0, high, low)


@dataclass(frozen=True)
class Place:
    """A graph and who lies in it.

    Attributes:
        graph: the topology's name and options, as pairs.
        agents, f: n, and how many values the trimmed mean drops on either side.
        liars: who lies.
    """

    graph: tuple[tuple[str, Any], ...]
    agents: int
    f: int
    liars: tuple[int, ...]

    @property
    def label(self) -> str:
        """In the tables' words: "complete"."""
        return " ".join(str(value) for _, value in self.graph)

    @property
    def honest(self) -> list[int]:
        """Who does not lie."""
        return [i for i in range(self.agents) if i not in self.liars]

    @cached_property
    def topology(self) -> topology.Topology:
        """The graph."""
        return topology.load(dict(self.graph), self.agents)

    @cached_property
    def robust(self) -> int:
        """The largest r for which a graph of a period is surely r-robust."""
        return max(robustness(self.topology.matrix(t)).r_low for t in range(self.topology.period or 1))

    @cached_property
    def accepted(self) -> bool:
        """Whether netac runs trimmed means among these liars without being told to."""
        try:
            conditions(self, table("trimmed-mean", self.f, "constant", self.liars) | {"allow_insecure": False}, 100)
        except InputError:
            return False
        return True

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Two groups of honest agents, of which nobody hears more than f other honest agents outside of its group."""
        hears = adjacency(self.topology.matrix(0)).toarray() != 0
        found = disjoint_closed_sets(hears[np.ix_(self.honest, self.honest)], self.f).sets
        return found and (tuple(self.honest[i] for i in found[0]), tuple(self.honest[i] for i in found[1]))


def place(name: str, agents: int, f: int, liars: int | tuple[int, ...], **options: Any) -> Place:
    """A place; a number of liars means the last so many agents."""
    who = tuple(range(agents - liars, agents)) if isinstance(liars, int) else liars
    return Place((("name", name), *options.items()), agents, f, who)


@dataclass(frozen=True)
class Case:
    """A mixing to be done.

    Attributes:
        place: graph and liars.
        attack, scale: what the liars send; "none": what they hold.
        defence: how agents mix, of `DEFENCES`.
        groups: whether at first the agents of one of the place's groups hold 0, those of the other 1, and all else 0.5;
            else random numbers.
        rounds: of mixing.
        seed: of all chance.
    """

    place: Place
    attack: str
    scale: float | None
    defence: str
    groups: bool
    rounds: int
    seed: int


@dataclass(frozen=True)
class Agreed:
    """What became of a case.

    Attributes:
        outside: how far an honest agent ever was outside of the honest agents' first values, over their range.
        apart: (rounds + 1,) the range of the honest agents' values, over that at first; the largest of all coordinates.
    """

    case: Case
    outside: float
    apart: np.ndarray


def mix(case: Case) -> Agreed:
    """Mix."""
    x, honest = start(case), case.place.honest
    network = Network(case.place.topology.matrix, Placement(case.place.agents), Ledger(case.place.agents), None,
                      spoilt(case), case.seed)
    low, high = x[honest].min(axis=0), x[honest].max(axis=0)
    apart, outside = [1.0], 0.0
    with np.errstate(over="ignore", invalid="ignore"):                  # where liars win, numbers grow without end
        for t in range(case.rounds):
            x = network.mix(t, np.ascontiguousarray(x)).copy()
            least, most = x[honest].min(axis=0), x[honest].max(axis=0)
            beyond = np.maximum(most - high, low - least) / (high - low)
            outside = float(np.maximum(outside, beyond.max()))          # NaN where there is one
            apart.append(float(((most - least) / (high - low)).max()))
    return Agreed(case, outside, np.array(apart))


def start(case: Case) -> np.ndarray:
    """(n, WIDTH) the agents' first values."""
    if not case.groups:
        return np.random.default_rng([case.seed, case.place.agents]).normal(size=(case.place.agents, WIDTH))
    assert case.place.groups, "there are such groups"
    x = np.full((case.place.agents, WIDTH), 0.5)
    for value, group in enumerate(case.place.groups):
        x[list(group)] = value
    return x


def spoilt(case: Case) -> list[Condition]:
    """The network's conditions: how agents mix, and what liars do."""
    where = case.place
    if case.attack != TWO_FACED or not where.liars:
        return conditions(where, table(case.defence, where.f, case.attack, where.liars, case.scale), case.rounds)
    liars = TwoFaced(where.liars)
    liars.name = TWO_FACED
    return [liars, *conditions(where, table(case.defence, where.f, NONE, ()), case.rounds)]


def table(defence: str, f: int, attack: str, liars: tuple[int, ...], scale: float | None = None) -> dict[str, Any]:
    """The table [network] of an experiment."""
    ways: dict[str, dict[str, Any]] = {"average": {}, "trimmed-mean": {"trimmed-mean": f}, "median": {"median": True},
                                       "clipping": {"clipping": RADIUS}}
    found = ways[defence]
    if liars and attack != NONE:
        found["adversaries"] = {"attack": attack, "agents": list(liars), "scale": scale or SCALES[attack][0]}
    return found | {"allow_insecure": True}


def conditions(where: Place, network: dict[str, Any], rounds: int) -> list[Condition]:
    """The conditions of a table [network] on the place's graph.

    Raises:
        InputError: the liars are not borne, and the table does not allow that.
    """
    read = config.read({"agents": where.agents, "iterations": rounds, "env": "coordination", "algorithm": "cac",
                        "topology": dict(where.graph), "network": network})
    return read.experiment().network.make(where.topology, rounds)
