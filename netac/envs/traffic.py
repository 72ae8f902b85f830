"""Traffic signals of a road network, one agent each, simulated by SUMO (extra `traffic`).

Networks are those that sumo-rl ships, among them the four of the RESCO benchmark (a 4 x 4 grid, an arterial, parts of
Cologne and Ingolstadt; Ault and Sharon, "Reinforcement learning benchmarks for traffic signal control", 2021), or the
user's own files.  Signals are agents in the order of the network file.  An agent chooses one of its green phases, those
of the file's programme, every `delta_time` seconds.  Another one than is on comes after `yellow` seconds in which the
links that lose green have yellow; while a phase has been green for less than `min_green` seconds, and during yellow,
what an agent chooses is not heeded.

An agent sees its phase (one-hot), 1 if it may change, and for each lane into its crossing, of length l, the density and
the queue: vehicles, and standing vehicles, divided by l / 7.5 m, at most 1.  The global state is what all agents see.
With reward

    queue               minus the vehicles that stand on these lanes, at the action's end,
    pressure            the vehicles on the lanes out of its crossings less those on the lanes into them,
    diff-waiting-time   (W before - W after the action) / 100, W the seconds for which the vehicles that are now on
                        these lanes have stood there.

An episode is truncated after `seconds`.  Its measures are those of traffic engineering, of all vehicles that have
entered the network, those still under way included: `waiting_time`, mean seconds that a vehicle stood (below 0.1 m/s);
`travel_time`, mean seconds since it entered; `queue`, vehicles that stand at a signal, the mean of signals and actions;
`throughput`, vehicles an hour that have arrived; and `entry_delay`, mean seconds for which a vehicle found no room to
enter, those still outside included.

SUMO runs one simulation a process, so every game is a process of its own (`netac.utils.child`), and process 0 of a
launch has them all.  The seed of an episode is SUMO's `--seed`; a simulation is a function of it and the actions, so
games are resumed by playing their actions again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from netac.envs._batched import Step
from netac.envs._traffic_roads import Roads, read_roads
from netac.envs._traffic_simulation import ACTION, BEGIN, MEASURES, NUMBER, SEED, SINGLE, STEP, Scenario
from netac.utils.child import Child, ChildError
from netac.utils.errors import InputError, RunError, did_you_mean
from netac.utils.options import Options
from netac.utils.spaces import ActionSpace
from netac.utils.streams import episode_seed

REPLICATED = False
EXTRA = 'pip install "netac[traffic]"'
CHILD = "netac.envs._traffic_simulation"
NBYTES = 130 << 20                 # of a process with SUMO and a network of some crossings
MEMORY = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.tcache_count=2000"}     # keeps memory, large pages
NETWORKS = {                       # of sumo-rl: network, routes, and the second at which an episode begins
    "grid4x4": ("RESCO/grid4x4/grid4x4", "RESCO/grid4x4/grid4x4_1", 0),
    "arterial4x4": ("RESCO/arterial4x4/arterial4x4", "RESCO/arterial4x4/arterial4x4_1", 0),
    "cologne1": ("RESCO/cologne1/cologne1", "RESCO/cologne1/cologne1", 25200),
    "cologne3": ("RESCO/cologne3/cologne3", "RESCO/cologne3/cologne3", 25200),
    "cologne8": ("RESCO/cologne8/cologne8", "RESCO/cologne8/cologne8", 25200),
    "ingolstadt1": ("RESCO/ingolstadt1/ingolstadt1", "RESCO/ingolstadt1/ingolstadt1", 57600),
    "ingolstadt7": ("RESCO/ingolstadt7/ingolstadt7", "RESCO/ingolstadt7/ingolstadt7", 57600),
    "ingolstadt21": ("RESCO/ingolstadt21/ingolstadt21", "RESCO/ingolstadt21/ingolstadt21", 57600),
    "single-intersection": ("single-intersection/single-intersection", "single-intersection/single-intersection", 0),
    "2way-single-intersection": ("2way-single-intersection/single-intersection",
                                 "2way-single-intersection/single-intersection-vhvh", 0),
    "double": ("double/network", "double/flow", 0),
    "2x2grid": ("2x2grid/2x2", "2x2grid/2x2", 0),
    "3x3grid": ("3x3grid/3x3Grid2lanes", "3x3grid/routes14000", 0),
    "4x4": ("4x4-Lucas/4x4", "4x4-Lucas/4x4c1c2c1c2", 0),
    "nguyen": ("Nguyen/nguyentl", "Nguyen/nguyentesteod", 0)}


class Settings(Options):
    """Options of `env = { name = "traffic" }`: `network`, or `net` and `routes`; `agents` is the number of signals."""

    network: str | None = Field(None, description=f"one that sumo-rl ships: {', '.join(NETWORKS)}")
    net: str | None = Field(None, description="a SUMO network of your own, .net.xml or .net.xml.gz")
    routes: str | None = Field(None, description="its demand, .rou.xml: vehicles, trips or flows")
    begin: int | None = Field(None, ge=0, le=10**9, description=(
        "the simulation's second at which an episode begins (default: the network's own, 0 for one of yours)"))
    seconds: int = Field(3600, ge=1, le=10**6, description="of an episode, a multiple of delta_time")
    delta_time: int = Field(5, ge=1, le=3600, description="seconds from one action to the next")
    yellow: int | None = Field(None, ge=0, le=60, description=(
        "seconds of yellow between two green phases (default: those of the file's programme, signal by signal)"))
    min_green: int = Field(5, ge=0, le=3600, description="seconds for which a phase is green, at least")
    reward: Literal["queue", "pressure", "diff-waiting-time"] = Field("queue", description=(
        "queue: minus the vehicles that stand at the signal; pressure: vehicles behind it less those before it; "
        "diff-waiting-time: by how much the time that vehicles have stood there has fallen"))
    control: Literal["agents", "fixed-time", "actuated"] = Field("agents", description=(
        "agents: they choose the phases; as something to be compared with, fixed-time: the file's programme; "
        "actuated: SUMO's, which lets a phase be green for as long as vehicles come"))
    time_to_teleport: int = Field(-1, ge=-1, le=10**6, description=(
        "seconds of standing after which SUMO puts a vehicle behind the jam; -1: never"))

    @model_validator(mode="after")
    def _one_source(self) -> Settings:
        if (self.network is None) == (self.net is None) or (self.net is None) != (self.routes is None):
            raise ValueError('needs either `network` (such as "grid4x4") or both `net` and `routes`, files of your own')
        if self.network is not None and self.network not in NETWORKS:
            raise ValueError(f"there is no network {self.network!r}{did_you_mean(self.network, list(NETWORKS))}; "
                             f"there are {', '.join(NETWORKS)}")
        if self.seconds % self.delta_time:
            raise ValueError(f"`seconds` must be a multiple of `delta_time` (found {self.seconds} and "
                             f"{self.delta_time})")
        return self


def make(settings: Settings, agents: int, games: int) -> Traffic:
    """`games` simulations with `agents` signals each.

    Raises:
        InputError: something is not installed, the network cannot be used, or has another number of signals.
    """
    net, routes, begin = _files(settings)
    roads = read_roads(net, "env.network" if settings.network else "env.net")
    if (found := len(roads.signals)) != agents:
        raise InputError(f"{settings.network or net.name} has another number of traffic signals", key="agents",
                         found=agents, valid=f"agents = {found}")
    options = settings.model_dump(exclude={"network", "net", "routes", "begin", "seconds"})
    scenario = Scenario(net=str(net), routes=str(routes), begin=begin if settings.begin is None else settings.begin,
                        steps=settings.seconds // settings.delta_time, signals=roads.signals, **options)
    _try(scenario, tuple(os.stat(each).st_mtime_ns for each in (net, routes)))
    return Traffic(scenario, roads, games)


def _files(settings: Settings) -> tuple[Path, Path, int]:
    """Network, routes, and the second at which an episode begins."""
    for package in ("libsumo", *(["sumo_rl"] if settings.network else [])):
        if find_spec(package) is None:
            raise InputError(f"needs {package.replace('_', '-')}, which is not installed", key="env.name",
                             found="traffic", valid=EXTRA)
    if settings.network is None:
        assert settings.net is not None and settings.routes is not None                  # _one_source
        return Path(settings.net).absolute(), Path(settings.routes).absolute(), 0
    spec = find_spec("sumo_rl")
    assert spec is not None and spec.origin is not None
    net, routes, begin = NETWORKS[settings.network]
    folder = Path(spec.origin).parent / "nets"
    return folder / f"{net}.net.xml", folder / f"{routes}.rou.xml", begin


@cache
def _try(scenario: Scenario, changed: tuple[int, ...]) -> None:
    """See that SUMO loads the files of a scenario, once for each time that they were `changed`.

    Raises:
        InputError: it does not, in its own words.
    """
    child = Child(CHILD, "SUMO", MEMORY)
    try:
        for message in (scenario.message(), BEGIN + SEED.pack(0)):
            child.send(message)
            child.receive()
    except ChildError as error:
        raise InputError(str(error), key="env", found=[scenario.net, scenario.routes],
                         valid="a network and routes that SUMO loads: sumo -n NET -r ROUTES") from None
    finally:
        child.close()


class Traffic:
    """E simulations of one network; the interface is `netac.envs._batched.BatchedEnvironment`.

    Episode k = 0, 1, ... of game e has the seed `netac.utils.streams.episode_seed(seed, chain, e, k)`.

    Args:
        scenario: what is simulated.
        roads: the signals' graph.
        games: E.

    Attributes:
        scenario: as given.
    """

    gamma = None
    resumable = True
    measures = MEASURES

    def __init__(self, scenario: Scenario, roads: Roads, games: int):
        signals = scenario.signals
        self.agents, self.games = len(signals), games
        self.names = tuple(signal.name for signal in signals)
        self.observations = tuple((signal.seen,) for signal in signals)
        self.actions = tuple(ActionSpace(n_actions=len(signal.greens)) for signal in signals)
        self.state_shape = (sum(map(prod, self.observations)),)
        self.active = np.ones((self.agents, games), dtype=bool)
        self.neighbours = {name: list(others) for name, others in roads.neighbours.items()}
        self.nbytes = NBYTES * games
        self.scenario = scenario
        self._children: list[Child] = []
        self._shown = np.zeros((games, *self.state_shape), dtype=SINGLE)
        ends = np.cumsum([0, *(signal.seen for signal in signals)]).tolist()
        self._parts = [slice(*each) for each in pairwise(ends)]      # of the state
        self._played = np.zeros((games, scenario.steps, self.agents), dtype=ACTION)      # actions of this episode
        self._steps, self._episodes = np.zeros(games, dtype=np.int64), np.zeros(games, dtype=np.int64)
        self._measured = np.zeros((len(MEASURES), games))
        self._seed = self._chain = 0

    def begin(self, seed: int, chain: int) -> None:
        """Begin all games anew, with episode 0 of the run's seed and of chain `chain`."""
        self._seed, self._chain = seed, chain
        if not self._children:
            self._children = [Child(CHILD, f"SUMO (game {game})", MEMORY) for game in range(self.games)]
            everybody = range(self.games)
            self._ask(everybody, [self.scenario.message()] * self.games)
        self._episodes[:] = 0
        self._restart(np.arange(self.games))

    def restart(self, games: np.ndarray) -> None:
        """Begin the next episode of the games of the mask (E,)."""
        self._episodes[games] += 1
        self._restart(np.flatnonzero(games))

    def _restart(self, games: np.ndarray) -> None:
        seeds = [episode_seed(self._seed, self._chain, int(e), int(self._episodes[e])) for e in games]
        for e, answer in zip(games, self._ask(games, [BEGIN + SEED.pack(seed) for seed in seeds]), strict=True):
            self._shown[e] = np.frombuffer(answer, SINGLE)
        self._steps[games], self._played[games], self._measured[:, games] = 0, 0, 0.0

    def _ask(self, games: Sequence[int] | np.ndarray, messages: list[bytes]) -> list[bytes]:
        """Send every game its message, and give their answers; they work at the same time.

        Raises:
            RunError: a simulation has failed.
        """
        for e, message in zip(games, messages, strict=True):
            self._children[e].send(message)
        return [self._receive(e) for e in games]

    def _receive(self, game: int) -> bytes:
        try:
            return self._children[game].receive()
        except ChildError as error:
            raise RunError(f"{error} (episode {self._episodes[game]}, step {self._steps[game]})") from None

    def observe(self, agents: range) -> list[np.ndarray]:
        """What `agents` see: (E, greens + 1 + 2 lanes) each."""
        return [self._shown[:, self._parts[agent]].copy() for agent in agents]

    def state(self) -> np.ndarray:
        """What all agents see, side by side, (E, all)."""
        return self._shown.copy()

    def step(self, actions: np.ndarray) -> Step:
        """`delta_time` seconds of all games, with actions (N, E).

        Raises:
            RunError: a simulation has failed.
        """
        chosen = np.ascontiguousarray(actions.T, dtype=ACTION)
        for child, own in zip(self._children, chosen, strict=True):
            child.send(STEP + own.tobytes())
        self._played[range(self.games), self._steps] = chosen                            # while they work
        shape = self.agents, self.games
        step = Step(np.empty(shape), np.zeros(shape, dtype=bool), self._steps + 1 >= self.scenario.steps)
        for e in range(self.games):
            step.r[:, e] = self._read(e, self._receive(e))
        self._steps += 1
        return step

    def _read(self, game: int, answer: bytes) -> np.ndarray:
        """Take up what a step has given; the rewards (N,)."""
        told = self.agents + len(MEASURES)
        numbers = np.frombuffer(answer, NUMBER, told)
        self._shown[game] = np.frombuffer(answer, SINGLE, offset=numbers.nbytes)
        self._measured[:, game] = numbers[self.agents:]
        return numbers[:self.agents]

    def measured(self) -> dict[str, np.ndarray]:
        """The measures of the games that have just ended, (E,) each; zeros of others."""
        return {name: values.copy() for name, values in zip(MEASURES, self._measured, strict=True)}

    def get_state(self) -> dict[str, np.ndarray]:
        """The episodes' numbers (E,), how many actions were taken in them (E,), and which (E, steps, N)."""
        return {"episodes": self._episodes.copy(), "steps": self._steps.copy(), "actions": self._played.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there: the episodes under way are played again, until where they were."""
        self._episodes[:] = state["episodes"]
        self._restart(np.arange(self.games))
        self._steps[:], self._played[:] = state["steps"], state["actions"]
        begun = np.flatnonzero(self._steps)
        messages = [STEP + self._played[e, :self._steps[e]].tobytes() for e in begun]
        for e, answer in zip(begun, self._ask(begun, messages), strict=True):
            self._read(int(e), answer)

    def close(self) -> None:
        """End all simulations."""
        for child in self._children:
            child.close()
        self._children = []
