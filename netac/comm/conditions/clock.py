"""Simulated time: links with latency and bandwidth, agents that compute, stragglers; who waits for whom.

All times are seconds; `_time` has their laws.  An agent's message of iteration t leaves when its iteration begins (what
it exchanges is of time t), flies latency + bits / bandwidth, and the agent computes meanwhile.

| `schedule` | when agent i mixes | what |
| --- | --- | --- |
| "wait" | when its own work is done and all that was sent to it is there | all messages of t |
| "beat" | at the end of iteration t, at (t + 1) period for all | the newest that has come |
| "asynchronous" | whenever its own work is done, at a time of its own | the newest that has come (`_events`) |

wait: T_i(t+1) = max(T_i(t) + work_i(t), max over j that sent to i of T_j(t) + flight_ij(t)); further exchanges of an
iteration take no work.  What gets lost is waited for as long as it would have taken.  beat: the environment, or whoever
else steps, does so every `period` seconds; a message with work + flight > period is late, and delayed by whole
iterations, as `delay` does it, and one later than `most` iterations is lost.  asynchronous: in the virtual time from t
period to (t + 1) period every agent acts as often as its work allows, each time mixing and sending; agents that are
slow act less often.  Exchanges of sums (DiNNO's and MATRPO's) have no asynchronous form: they are exchanged at the end
of the iteration.

`network_seconds` is the time of the agent that is latest.  An algorithm that exchanges nothing has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from netac.comm.conditions._compression import Compression
from netac.comm.conditions._events import AsynchronousGossip
from netac.comm.conditions._time import EdgeValues, Times, late, ready
from netac.comm.conditions.delay import Delay
from netac.comm.conditions.loss import Loss
from netac.comm.exchange import DELAYED, LOST, SECONDS, Condition, Exchange, Phase, Surroundings
from netac.topology import Topology
from netac.utils.errors import InputError
from netac.utils.options import Options

EDGES = "edges"
MOST_EVENTS = 10_000      # of an agent in an iteration
MOST = 100                # iterations by which a message may be late, at most
LATENCY, BANDWIDTH = "latency_ms", "mbit"         # attributes of a graph's edges


class Settings(Options):
    """Options of `clock`."""

    schedule: Literal["wait", "beat", "asynchronous"] = Field("wait", description=(
        "wait: an agent goes on when its work is done and all messages are there; beat: every `period`, with what is "
        "there; asynchronous: whenever its own work is done, with the newest that has come"))
    latency: float | Literal["edges"] = Field(0.0, description=(
        "seconds that an empty message flies; \"edges\": the graph's edges say so, as latency_ms"))
    bandwidth: Annotated[float, Field(allow_inf_nan=False)] | Literal["edges"] | None = Field(None, description=(
        "bit/s of every link; \"edges\": the graph's edges say so, as mbit (Mbit/s); by default without end"))
    compute: float | list[float] = Field(0.0, description="seconds of an agent's work in an iteration; of all, or each")
    jitter: float = Field(0.0, description="standard deviation of the work over its mean, drawn for every iteration")
    latency_jitter: float = Field(0.0, description="the same of latencies")
    distribution: Literal["lognormal", "exponential"] = Field("lognormal", description=(
        "of both; exponential with a jitter of 1: a Poisson process"))
    stragglers: float | list[int] = Field(0.0, description="which agents are slow, or the probability that one is")
    factor: float = Field(10.0, description="by how much their work takes longer")
    period: float | None = Field(None, gt=0, allow_inf_nan=False, description=(
        "seconds of an iteration, with beat and asynchronous; by default the largest `compute`"))
    most: int | None = Field(None, ge=1, le=MOST, description=(
        "beat: iterations by which a message may be late; a later one is lost; by default 10, less in short runs"))


class Waiting(Condition):
    """schedule = "wait"; `rows` keep T_i."""

    phase, columns = Phase.DELAY, (SECONDS,)

    def __init__(self, times: Times):
        self._times = times

    def depart(self, exchange: Exchange) -> None:
        """Tell when the message leaves, and how long it is."""
        now = self.rows.setdefault("now", np.zeros((len(exchange.agents), 1)))
        exchange.told |= {"time": now[:, 0].copy(), "bits": exchange.bits.astype(float)}

    def arrive(self, exchange: Exchange) -> None:
        """Wait for one's own work and for all that was sent."""
        agents, links, said, now = np.array(exchange.agents), exchange.links, exchange.said, self.rows["now"]
        work = self._times.work(exchange.t, agents, exchange.seed) if exchange.round == 0 else 0.0
        hearer, speaker = (links.hearer + exchange.agents.start)[said], links.speaker[said]
        flight = self._times.flight(exchange.t, hearer, speaker, exchange.heard["bits"][said], exchange.seed)
        now[:, 0] = ready(now[:, 0] + work, exchange.heard["time"][said], flight, links.hearer[said])
        exchange.counts[SECONDS] = now[:, 0].copy()


class OnTheBeat(Delay):
    """schedule = "beat": what is late is delayed by whole iterations."""

    columns: tuple[str, ...] = (DELAYED, LOST, SECONDS)
    unlike = MappingProxyType({"delay": "both say when messages arrive"})

    def __init__(self, times: Times, period: float, most: int):
        super().__init__(0, most)
        self._times, self._period = times, period
        self.notes = ("messages may come late (network.clock), so that consensus does not keep the mean of what is "
                      "mixed: it drifts",)

    def look_around(self, conditions: Sequence[Condition]) -> None:
        """Refuse copies at the listeners, who use the newest message alone."""
        for other in conditions:
            if isinstance(other, Compression) and other.keeps_copies:
                raise InputError(f"does not go with {other.name}: a message that comes late may be overtaken, and the "
                                 "listener then misses a difference", key="network.clock.schedule", found="beat",
                                 valid=f'"wait", or network.{other.name}.feedback = "none"')

    def depart(self, exchange: Exchange) -> None:
        """Tell how long the message is, and when its speaker was done before."""
        work = self._times.work(exchange.t, np.array(exchange.agents), exchange.seed)
        exchange.told |= {"work": np.broadcast_to(work, len(exchange.agents)), "bits": exchange.bits.astype(float)}

    def arrive(self, exchange: Exchange) -> None:
        """Lose what comes much too late, and delay the rest."""
        lost = self._beats(exchange) > self._most
        exchange.count_links(LOST, lost & exchange.arrived)
        exchange.arrived &= ~lost
        super().arrive(exchange)
        exchange.counts[SECONDS] = np.full(len(exchange.agents), (exchange.t + 1) * self._period)

    def _drawn(self, exchange: Exchange) -> np.ndarray:
        return np.minimum(self._beats(exchange), self._most)

    def _beats(self, exchange: Exchange) -> np.ndarray:
        """(L,) iterations by which messages are late."""
        links = exchange.links
        flight = self._times.flight(exchange.t, links.hearer + exchange.agents.start, links.speaker,
                                    exchange.heard["bits"], exchange.seed)
        return late(exchange.heard["work"], flight, self._period)


class Asynchronous(Condition):
    """schedule = "asynchronous": every process computes all agents' events, the same everywhere."""

    phase, columns = Phase.DELAY, (LOST, SECONDS)
    _ALONE = "agents that act whenever they are ready have no common round for it"

    def __init__(self, times: Times, period: float, names: frozenset[str]):
        self._times, self._period, self._loss = times, period, 0.0
        self._engines: dict[str, AsynchronousGossip] = {}
        self._checkpoint: dict[str, dict[str, np.ndarray]] = {}
        self._done: dict[str, int] = {}                             # exchanges so far
        self.unlike = dict.fromkeys(names - {"clock", "loss"}, self._ALONE)
        self.notes = ("agents mix what has come when they are ready (network.clock), so that consensus does not keep "
                      "the mean of what is mixed: it drifts",)

    def look_around(self, conditions: Sequence[Condition]) -> None:
        """Messages get lost as `loss` says, each by itself."""
        for other in conditions:
            if isinstance(other, Loss):
                self._loss = other.probability

    def depart(self, exchange: Exchange) -> None:
        """Compute the events of this iteration; then nothing is left to be sent."""
        if exchange.sums:
            return
        what, itemsize = exchange.what, exchange.values.itemsize
        everybody = exchange.everyone(exchange.values)
        engine = self._engine(exchange, everybody)
        own = slice(exchange.agents.start, exchange.agents.stop)
        messages, lost = engine.messages, engine.lost
        self._done[what] = self._done.get(what, 0) + 1
        mixed = engine.advance(everybody, self._done[what] * self._period)[own]
        exchange.sends = np.zeros(len(exchange.agents), dtype=bool)
        exchange.copies = (engine.messages - messages)[own]
        exchange.bits = np.full(len(exchange.agents), 8 * everybody.shape[1] * itemsize)
        exchange.count(LOST, (engine.lost - lost)[own])
        exchange.mix = lambda _: mixed

    def arrive(self, exchange: Exchange) -> None:
        """The time."""
        latest = max([exchange.t + 1, *self._done.values()])
        exchange.counts[SECONDS] = np.full(len(exchange.agents), latest * self._period)

    def _engine(self, exchange: Exchange, everybody: np.ndarray) -> AsynchronousGossip:
        if (what := exchange.what) not in self._engines:
            hearer, speaker, weight = self._links
            made = AsynchronousGossip(len(everybody), hearer, speaker, weight, self._times, everybody.shape[1],
                                      loss=self._loss, seed=exchange.seed, dtype=everybody.dtype)
            if kept := self._checkpoint.pop(what, None):
                made.restore(kept)
            self._engines[what] = made
        return self._engines[what]

    def on(self, topology: Topology) -> Asynchronous:
        """On its graph."""
        matrix = topology.matrix(0).tocoo()
        off = matrix.row != matrix.col
        self._links = matrix.row[off], matrix.col[off], matrix.data[off]
        return self

    def state(self) -> dict[str, np.ndarray]:
        """What is under way, the same in every process."""
        found = {f"done_{what}": np.array(done) for what, done in self._done.items()}
        for what, engine in self._engines.items():
            found |= {f"engine_{what}__{name}": array for name, array in engine.state().items()}
        return found

    def restore(self, state: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray]) -> None:
        """Take it up."""
        self._engines, self._checkpoint = {}, {}
        self._done = {name.removeprefix("done_"): int(done) for name, done in state.items() if name.startswith("done_")}
        for name, array in state.items():
            if name.startswith("engine_"):
                what, _, part = name.removeprefix("engine_").rpartition("__")
                self._checkpoint.setdefault(what, {})[part] = array


def make(settings: Settings, around: Surroundings) -> Condition:
    """The condition of the schedule.

    Raises:
        InputError: a time is out of its range, or the graph does not say what its edges should.
    """
    topology = around.topology
    times = Times(latency=_of_links(settings.latency, "latency", LATENCY, topology, 1e-3),
                  bandwidth=math.inf if settings.bandwidth is None else _of_links(
                      settings.bandwidth, "bandwidth", BANDWIDTH, topology, 1e6),
                  **settings.model_dump(exclude={"schedule", "period", "most", "latency", "bandwidth"}))
    times.check(topology.agents)
    if settings.schedule == "wait":
        if settings.period is not None:
            raise InputError("is for schedules in which nobody waits", key="period", found=settings.period,
                             valid='schedule = "beat" or "asynchronous", or without it')
        return Waiting(times)
    period = settings.period or float(np.max(settings.compute))
    if period <= 0.0:
        raise InputError("is missing, and agents' work takes no time", key="period", valid="seconds of an iteration")
    if settings.schedule == "beat":
        longest = max(1, around.iterations - 1)
        if settings.most is not None and settings.most > longest:
            raise InputError("is longer than the run", key="most", found=settings.most, valid=f"1 to {longest}")
        return OnTheBeat(times, period, settings.most or min(10, longest))
    if topology.period != 1:
        raise InputError("asks for a graph that does not change", key="schedule", found=topology.name,
                         valid='schedule = "beat", or another topology')
    fastest = times.factor if np.ndim(times.stragglers) or times.stragglers else 1.0     # where it is below 1
    shortest = float(np.min(times.compute)) * min(1.0, fastest)
    if shortest <= 0.0:
        raise InputError("agents that act whenever they are ready need time for their work", key="compute",
                         found=settings.compute, valid="seconds, more than 0")
    if period > MOST_EVENTS * shortest:
        raise InputError(f"an agent would act {period / shortest:.3g} times in an iteration of {period:g} s",
                         key="compute", found=settings.compute,
                         valid=f"at least {period / MOST_EVENTS:.3g}, or a shorter period")
    return Asynchronous(times, period, around.conditions).on(topology)


def _of_links(value: float | str, key: str, attribute: str, topology: Topology, unit: float) -> float | EdgeValues:
    """A number, or what the edges of a graph say of themselves.

    Raises:
        InputError: the graph changes, or an edge does not say it.
    """
    if not isinstance(value, str):
        return value
    if topology.period != 1:
        raise InputError("asks for a graph that does not change", key=key, found=EDGES, valid="a number")
    try:
        found = EdgeValues.of(topology.graph(0), attribute, math.nan, unit)
    except InputError as error:
        raise error.located(key=key) from None
    if np.isnan(found.values).any():
        raise InputError(f"not every edge has the attribute {attribute}", key=key, found=EDGES,
                         valid=f"a number, or edges with {attribute}")
    return found
