"""Simulated time: how long agents work and messages fly, who waits for whom, and by how many beats a message is late.

All times are seconds.  Chance depends on the run's seed, the number of the iteration (or event) and the agent or link
alone, so that every process computes the same times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from netac.topology.edges import EdgeGraph, Graph, links
from netac.utils.errors import InputError
from netac.utils.streams import Purpose, normal, pair_uniforms

CLOCK = 2**20                       # first entry of the keys of what is drawn here, which no condition's place equals
WORK, FLIGHT, STRAGGLERS, LOSS = range(4)                  # the second entry
DISTRIBUTIONS = ("lognormal", "exponential")
WIDEST = 1e6                        # jitter
_ROUNDING = 1e-9                    # relative: what computed times may be above a whole number of beats


@dataclass(frozen=True, eq=False)
class EdgeValues:
    """A number for each link of a graph: `values` (L,) of the links over which `hearer` (L,) hears `speaker` (L,)."""

    hearer: np.ndarray
    speaker: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, graph: Graph, attribute: str, default: float, unit: float = 1.0) -> EdgeValues:
        """`unit` times what the edges of a graph say of themselves; `default` for those that say nothing.

        Both links of an undirected edge have its number: `EdgeValues.of(graph, "latency_ms", 0.0, 1e-3)`.
        """
        hearer, speaker = links(graph)
        if isinstance(graph, EdgeGraph):
            return cls(hearer, speaker, np.full(len(hearer), unit * default))
        said = np.array([_number(value, attribute) for _, _, value in graph.edges(data=attribute, default=default)])
        return cls(hearer, speaker, unit * (said if graph.is_directed() else np.concatenate([said, said])))

    def at(self, hearer: np.ndarray, speaker: np.ndarray) -> np.ndarray:
        """The numbers of these links, (L,).

        Raises:
            InputError: a link has none.
        """
        known, values = self._by_code
        codes = link_codes(hearer, speaker)
        place = np.searchsorted(known, codes)
        missing = np.append(known, -1)[place] != codes
        if missing.any():
            first = int(np.argmax(missing))
            raise InputError("an edge has no value", found=(int(speaker[first]), int(hearer[first])),
                             valid="a value for every edge of the graph")
        return values[place]

    @cached_property
    def _by_code(self) -> tuple[np.ndarray, np.ndarray]:
        """The links' codes, ascending, and their numbers."""
        codes = link_codes(self.hearer, self.speaker)
        order = np.argsort(codes, kind="stable")
        return codes[order], np.asarray(self.values, dtype=np.float64)[order]


def _number(value: object, attribute: str) -> float:
    """What an edge says.

    Raises:
        InputError: it is no number.
    """
    try:
        return float(value)            # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(f"the attribute {attribute} of an edge is no number", found=value,
                         valid="a number for every edge") from None


def link_codes(hearer: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """One whole number for each link, (L,)."""
    return hearer.astype(np.int64) << 32 | speaker.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Times:
    """How long things take.

    Attributes:
        latency: seconds from sending to arrival of an empty message; a number, or one for each link.
        bandwidth: bit/s of a link; a number, or one for each link.
        compute: seconds of work of an iteration; a number, or one for each agent.
        jitter: standard deviation of an agent's work over its mean, drawn anew in every iteration.
        latency_jitter: the same of the latency of a message.
        distribution: of both; "lognormal", or "exponential": mean (1 - jitter) and, on top of it, an exponential of
            mean jitter; with jitter 1 an agent's events are a Poisson process.
        stragglers: the agents that are slow, or the probability with which each agent is, drawn once for a run.
        factor: by how much their work takes longer.
    """

    latency: float | EdgeValues = 0.0
    bandwidth: float | EdgeValues = math.inf
    compute: float | Sequence[float] | np.ndarray = 0.0
    jitter: float = 0.0
    latency_jitter: float = 0.0
    distribution: str = "lognormal"
    stragglers: float | Sequence[int] = ()
    factor: float = 1.0

    def __post_init__(self) -> None:
        _within("latency", self.latency, 0.0, "seconds, at least 0")
        _within("compute", self.compute, 0.0, "seconds, at least 0")
        _within("bandwidth", self.bandwidth, 0.0, "bit/s, more than 0", positive=True, infinite=True)
        _within("factor", self.factor, 0.0, "more than 0", positive=True)
        if self.distribution not in DISTRIBUTIONS:
            raise InputError("no such distribution of times", key="distribution", found=self.distribution,
                             valid=" or ".join(DISTRIBUTIONS))
        most = 1.0 if self.distribution == "exponential" else WIDEST
        for key, value in (("jitter", self.jitter), ("latency_jitter", self.latency_jitter)):
            _within(key, value, 0.0, f"at least 0, at most {most:g}", most=most)
        if isinstance(self.stragglers, float | int):
            _within("stragglers", self.stragglers, 0.0, "a fraction in [0, 1], or agents", most=1.0)

    def check(self, agents: int) -> None:
        """Whether what is said of single agents fits a network of so many.

        Raises:
            InputError: it does not.
        """
        if np.ndim(self.compute) and np.shape(self.compute) != (agents,):
            raise InputError("one number for every agent", key="compute", found=np.shape(self.compute)[0],
                             valid=f"{agents} numbers, or one for all")
        if not isinstance(self.stragglers, float | int):
            wrong = [agent for agent in self.stragglers if not 0 <= agent < agents]
            if wrong:
                raise InputError("no such agent", key="stragglers", found=wrong[0], valid=f"0 to {agents - 1}")

    def mean_work(self, agents: np.ndarray, seed: int) -> np.ndarray:
        """Seconds of work of an iteration without jitter, like `agents`."""
        compute = np.asarray(self.compute, dtype=np.float64)
        return np.where(self.slow(agents, seed), self.factor, 1.0) * (compute[agents] if compute.ndim else compute)

    def slow(self, agents: np.ndarray, seed: int) -> np.ndarray:
        """Whether agents are stragglers, like `agents`."""
        if isinstance(self.stragglers, float | int):
            zero = np.zeros(1, dtype=np.int64)
            return pair_uniforms(seed, Purpose.NETWORK, (CLOCK, STRAGGLERS), agents, zero) < self.stragglers
        return np.isin(agents, np.asarray(self.stragglers, dtype=np.int64))

    def work(self, t: int | np.ndarray, agents: np.ndarray, seed: int = 0) -> np.ndarray:
        """Seconds of work of `agents` in iteration t: (n,), or the common shape of `t` and `agents`."""
        mean = self.mean_work(agents, seed)
        if not self.jitter:
            return np.broadcast_to(mean, np.broadcast_shapes(np.shape(t), agents.shape))
        u = pair_uniforms(seed, Purpose.NETWORK, (CLOCK, WORK), agents, np.atleast_1d(t))
        return mean * relative(u, self.jitter, self.distribution)

    def latencies(self, hearer: np.ndarray, speaker: np.ndarray) -> np.ndarray:
        """Seconds, (L,), without jitter."""
        return _of_links("latency", self.latency, hearer, speaker)

    def transfers(self, hearer: np.ndarray, speaker: np.ndarray, bits: np.ndarray | float) -> np.ndarray:
        """Seconds that messages of `bits` (L,) take besides the latency: (L,)."""
        return bits / _of_links("bandwidth", self.bandwidth, hearer, speaker)

    def stretch(self, t: int | np.ndarray, hearer: np.ndarray, speaker: np.ndarray, seed: int) -> np.ndarray:
        """By what the jitter multiplies the latencies of the messages of iteration t: (L,), of mean 1."""
        if not self.latency_jitter:
            return np.ones(len(hearer))
        u = pair_uniforms(seed, Purpose.NETWORK, (CLOCK, FLIGHT), np.atleast_1d(t), link_codes(hearer, speaker))
        return relative(u, self.latency_jitter, self.distribution)

    def flight(self, t: int | np.ndarray, hearer: np.ndarray, speaker: np.ndarray, bits: np.ndarray | float,
               seed: int = 0) -> np.ndarray:
        """Seconds from sending to arrival of the messages of iteration t, latency + bits / bandwidth: (L,)."""
        latencies = self.latencies(hearer, speaker) * self.stretch(t, hearer, speaker, seed)
        return latencies + self.transfers(hearer, speaker, bits)


def relative(u: np.ndarray, spread: float, distribution: str) -> np.ndarray:
    """Positive variates of mean 1 and standard deviation `spread` from uniforms."""
    if distribution == "exponential":
        return 1.0 - spread - spread * np.log1p(-u)
    variance = math.log1p(spread**2)                         # of the logarithm
    return np.exp(math.sqrt(variance) * normal(u) - 0.5 * variance)


def ready(done: np.ndarray, sent: np.ndarray, flight: np.ndarray, hearer: np.ndarray) -> np.ndarray:
    """When agents start t + 1: when their own work and what they hear of iteration t are there.

    Args:
        done: (n,) when their own work is done.
        sent: (L,) when the speakers sent their messages.
        flight: (L,) seconds that these fly.
        hearer: (L,) who gets them, counted among the n; messages that nobody waits for (lost ones) are left out.

    Returns:
        (n,): max(done_i, max over links l of i of sent_l + flight_l).
    """
    start = np.array(done, dtype=np.float64)
    np.maximum.at(start, hearer, sent + flight)
    return start


def late(work: np.ndarray, flight: np.ndarray, period: float) -> np.ndarray:
    """By how many whole beats of `period` seconds messages are late, ceil((work + flight) / period) - 1 >= 0: (L,).

    Agents begin iteration t at the time t period, send after their `work` (L,), and the message of `flight` (L,) is
    in time for the mixing at the end of the iteration if it is there by (t + 1) period.  Sums that exceed a whole
    number of beats by rounding, 1e-9 of it, do not count as late.

    Raises:
        InputError: the period is not positive.
    """
    _within("period", period, 0.0, "seconds, more than 0", positive=True)
    beats = (work + flight) / period
    return np.clip(np.ceil(beats * (1.0 - _ROUNDING)) - 1.0, 0.0, 2.0**62).astype(np.int64)


def _of_links(key: str, value: float | EdgeValues, hearer: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """A quantity of links, (L,), from what `Times` holds of it."""
    if not isinstance(value, EdgeValues):
        return np.full(len(hearer), float(value))
    try:
        return value.at(hearer, speaker)
    except InputError as error:
        raise error.located(key=key) from None


def _within(key: str, value: float | Sequence[float] | np.ndarray | EdgeValues, least: float, valid: str, *,
            positive: bool = False, infinite: bool = False, most: float = math.inf) -> None:
    """Refuse numbers out of their range."""
    numbers = np.atleast_1d(np.asarray(value.values if isinstance(value, EdgeValues) else value, dtype=np.float64))
    good = (numbers > least if positive else numbers >= least) & (numbers <= most) & (infinite | np.isfinite(numbers))
    if not good.all():
        raise InputError("a number out of its range", key=key, found=float(numbers[~good][0]), valid=valid)
