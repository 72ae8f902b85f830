"""What the ways of mixing share that bear lies: of each coordinate, a location among what has arrived.

Agents that have heard equally many are taken together, and so many coordinates at a time that what is in memory besides
the messages stays under 32 MB.  Every number is that of one agent and coordinate alone, whatever is beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from netac.comm.exchange import Condition, Exchange, Phase
from netac.topology import Topology
from netac.utils.errors import InputError

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of k neighbours' values, ascending, (k, m, c), and the m agents' own ones, (m, c): what they make of them, (m, c)."""

BLOCK = 2**20         # bytes of neighbours' values that are sorted at a time
FEW = 8               # neighbours up to which they are sorted by exchanges of two, 3 to 40 times as fast as np.sort


class RobustMixing(Condition):
    """Takes the place of the average.

    Attributes:
        drifts: whether it does not keep the mean of what is mixed, whatever the weights.
    """

    phase = Phase.MIX
    drifts = True

    def look_around(self, conditions: Sequence[Condition]) -> None:
        """Refuse a second way of mixing."""
        for other in conditions:
            if other.phase is Phase.MIX and other is not self:
                raise InputError(f"does not go with {other.name}: both say what agents make of what has arrived",
                                 key=f"network.{self.name}", valid=f"{self.name} or {other.name}")
        if self.drifts:
            self.notes = (f"agents do not mix averages (network.{self.name}), so that consensus does not keep the mean "
                          "of what is mixed: it drifts",)

    def arrive(self, exchange: Exchange) -> None:
        """Mix in this way, once all has arrived that will."""
        exchange.mix = self.mix

    def mix(self, exchange: Exchange) -> np.ndarray:
        """What the agents go on with, (n, width)."""
        raise NotImplementedError

    def fault(self, topology: Topology, liars: frozenset[int], iterations: int) -> str | None:
        """Why honest agents that mix so are not safe from these liars, to be read after "the liars are not borne: "."""
        return f"{self.name} promises nothing where agents lie"


def altering(conditions: Sequence[Condition]) -> str:
    """The names of those with which honest agents' messages say other than what these hold; nothing is borne there."""
    return " and ".join(condition.name for condition in conditions if condition.alters)


def not_borne(mixing: Condition | None, conditions: Sequence[Condition], topology: Topology, liars: frozenset[int],
              iterations: int) -> str | None:
    """Why honest agents that mix so, beside these conditions, are not safe from the liars; None if they are."""
    if mixing is None:
        return "agents that mix the average follow a single liar wherever it wants"
    if liars and (altered := altering(conditions)):
        return f"with {altered} even honest agents' messages say other than what they hold"
    if isinstance(mixing, RobustMixing):
        return mixing.fault(topology, liars, iterations)
    return f"netac does not know what {mixing.name} bears"


def located(exchange: Exchange, least: int, rule: Rule, of_neighbours: Rule) -> np.ndarray:
    """The agents' mixture, where `rule` gives what is made of own and heard values: (n, width).

    With own_i and gain of the exchange it is x_i + gain (rule_i - own_i).  Where the sum over neighbours is asked for,
    the mixture is d_i (x_i + gain (of_neighbours_i - own_i)), d_i their number in the graph.  An agent that has heard
    fewer than `least` keeps its own value in the place of either.
    """
    found = exchange.own.copy()
    chosen = of_neighbours if exchange.sums else rule
    for agents, places in by_number_heard(exchange):
        if places.shape[1] < least:
            continue
        for some, columns in _blocks(len(agents), places.shape[1], found.shape[1], found.itemsize):
            who = agents[some]
            others = ascending(exchange.received[places[some].T, columns])
            found[who, columns] = chosen(others, exchange.own[who, columns])
    kind = exchange.values.dtype.type
    if exchange.own is not exchange.values or exchange.gain != 1.0:
        found = exchange.values + kind(exchange.gain) * (found - exchange.own)
    return found * exchange.plan.heard_by[:, None].astype(kind) if exchange.sums else found


def by_number_heard(exchange: Exchange) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Agents that have heard k others, (m,), and the links over which they did, by speaker, (m, k); k from 1 on."""
    there = np.flatnonzero(exchange.arrived)
    heard = np.bincount(exchange.links.hearer[there], minlength=len(exchange.agents))
    first = np.cumsum(heard) - heard
    for k in np.unique(heard[heard > 0]):
        agents = np.flatnonzero(heard == k)
        yield agents, there[first[agents][:, None] + np.arange(k)]


def _blocks(agents: int, neighbours: int, width: int, itemsize: int) -> Iterator[tuple[slice, slice]]:
    """Agents and coordinates that are taken at a time."""
    room = max(1, BLOCK // (neighbours * itemsize))
    columns = min(width, room)
    rows = max(1, room // columns)
    for a in range(0, agents, rows):
        for c in range(0, width, columns):
            yield slice(a, a + rows), slice(c, c + columns)


def ascending(values: np.ndarray) -> np.ndarray:
    """The k values of each place in ascending order, NaN as infinity and -0.0 as 0.0: (k, m, c), which is changed."""
    values[np.isnan(values)] = np.inf
    values += 0.0                          # of two zeros either may come first
    k = len(values)
    if k > FEW:
        values.sort(axis=0)
        return values
    for turn in range(k):                  # odd-even transposition
        for i in range(turn % 2, k - 1, 2):
            less = np.minimum(values[i], values[i + 1])
            np.maximum(values[i], values[i + 1], out=values[i + 1])
            values[i] = less
    return values


def total(values: np.ndarray) -> np.ndarray:
    """The sum over the first axis, in its order: (k, m, c), k >= 1 -> (m, c)."""
    found = values[0].copy()
    for row in values[1:]:
        found += row
    return found
