"""One SUMO simulation with its signals, in a process of its own: what `netac.envs.traffic` says of one game.

`python -m netac.envs._traffic_simulation` answers messages (`netac.utils.child`): the first one is a `Scenario`, those
after it begin with `BEGIN` and a seed, or `STEP` and joint actions.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np

from netac.envs._traffic_lights import Light
from netac.envs._traffic_roads import Signal
from netac.utils.child import serve

BEGIN, STEP = b"b", b"s"
SEED, ACTION = struct.Struct("<i"), np.dtype("<i2")
NUMBER, SINGLE = np.dtype("<f8"), np.dtype("<f4")
SPACE = 7.5                        # metres of lane that a standing vehicle takes: 5 and a gap of 2.5
STANDING = 100.0                   # seconds of standing that count as 1 in "diff-waiting-time", as in sumo-rl
SWITCHED = "actuated"              # what the actuated programme is called in SUMO
LIBRARIES = "it needs libraries of the system: apt install libgl1 libx11-6 libxext6 libxrender1, or their like"
MEASURES = ("waiting_time", "travel_time", "entry_delay", "queue", "throughput")


@dataclass(frozen=True)
class Scenario:
    """What is simulated.

    Attributes:
        net, routes: SUMO's files.
        begin, steps, delta_time: the second at which an episode begins, its joint actions, and the seconds of each.
        yellow, min_green, reward, control, time_to_teleport: options of the environment.
        signals: one for each agent.
    """

    net: str
    routes: str
    begin: int
    steps: int
    delta_time: int
    yellow: int | None
    min_green: int
    reward: str
    control: str
    time_to_teleport: int
    signals: tuple[Signal, ...]

    def message(self) -> bytes:
        """As the child is told."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def of(cls, message: bytes) -> Scenario:
        """From a message."""
        said = json.loads(message)
        return cls(**said | {"signals": tuple(map(Signal.of, said["signals"]))})

    def options(self, seed: int) -> list[str]:
        """SUMO's."""
        return ["--net-file", self.net, "--route-files", self.routes, "--begin", str(self.begin), "--seed", str(seed),
                "--step-length", "1", "--time-to-teleport", str(self.time_to_teleport),
                "--waiting-time-memory", "1000000", "--device.tripinfo.probability", "1", "--precision", "6",
                "--no-step-log", "--no-warnings", "--duration-log.disable"]

    def lights(self) -> list[Light]:
        """The signals as an episode begins."""
        return [Light(signal.greens, signal.yellow if self.yellow is None else self.yellow, self.min_green)
                for signal in self.signals]


class Simulation:
    """Episodes of a scenario, one after another.

    Args:
        scenario: what is simulated.
        more: SUMO's options besides.

    Attributes:
        steps: joint actions taken in this episode.
    """

    def __init__(self, scenario: Scenario, more: Sequence[str] = ()):
        try:
            import libsumo
        except ImportError as error:
            raise ChildProcessError(f"cannot be loaded: {error} ({LIBRARIES})") from error
        self._sumo: Any = libsumo
        self._errors = libsumo.TraCIException, libsumo.FatalTraCIError
        self.scenario, self._more, self._running, self.steps = scenario, [*more], False, 0
        signals = scenario.signals
        into, out = [signal.lanes for signal in signals], [signal.leaving for signal in signals]
        lanes = [*dict.fromkeys(chain(*into, *out))]
        self._lanes = lanes if scenario.reward == "pressure" else lanes[:len({*chain(*into)})]
        self._edges: dict[str, list[tuple[int, str]]] = {}  # their lanes, and where these are among those
        for place, lane in enumerate(self._lanes):
            self._edges.setdefault(lane.rpartition("_")[0], []).append((place, lane))    # SUMO: edge_0, edge_1
        self._into, self._out = _Sides(into, lanes), _Sides(out, lanes)
        self._room = np.maximum(np.array([length for signal in signals for length in signal.lengths]) / SPACE, 1.0)
        sizes = [len(signal.lanes) for signal in signals]
        self._seen = sum(signal.seen for signal in signals)
        self._phases = np.cumsum([0, *(signal.seen for signal in signals)])[:-1]         # where each one begins
        self._changes = self._phases + [len(signal.greens) for signal in signals]
        densities = np.concatenate([at + 1 + np.arange(n) for at, n in zip(self._changes, sizes, strict=True)])
        self._counted = np.array([densities, densities + np.repeat(sizes, sizes)])

    def begin(self, seed: int) -> None:
        """Begin an episode.

        Raises:
            ChildProcessError: SUMO cannot load its files, in its own words.
        """
        options = [*self.scenario.options(seed), *self._more]
        try:
            if self._running:
                self._sumo.load(options)
            else:
                self._sumo.start(["sumo", *options])
        except self._errors as error:
            raise ChildProcessError(f"cannot load its files{_words(error)}") from error
        self._running, self.steps, self._now = True, 0, self.scenario.begin
        self._before: dict[str, tuple[int, float]] = {}     # vehicle -> the signal it is at; seconds it stood elsewhere
        self._waited, self._queues = np.zeros(len(self.scenario.signals)), 0
        self._lights = self.scenario.lights()
        if self.scenario.control == "agents":
            self._show()
        elif self.scenario.control == "actuated":
            for signal in self.scenario.signals:
                self._actuate(signal)
        self._look()

    def _actuate(self, signal: Signal) -> None:
        """Give a signal SUMO's actuated control: its own phases, green for as long as vehicles come."""
        lights = self._sumo.trafficlight
        phases = [lights.Phase(phase.duration, phase.state, phase.shortest, phase.longest) for phase in signal.phases]
        lights.setProgramLogic(
            signal.name, lights.Logic(SWITCHED, self._sumo.constants.TRAFFICLIGHT_TYPE_ACTUATED, 0, phases))
        lights.setProgram(signal.name, SWITCHED)

    def step(self, actions: Sequence[int]) -> np.ndarray:
        """One joint action, which is ignored where SUMO controls the signals: the rewards (N,).

        Raises:
            ChildProcessError: SUMO fails, in its own words.
        """
        try:
            if self.scenario.control == "agents":
                self._let(actions)
            else:
                self._simulate(self.scenario.delta_time)
                self._follow()
            self.steps += 1
            waited = self._waited
            self._look()
        except self._errors as error:
            raise ChildProcessError(f"failed{_words(error)}") from error
        there, standing = self._counts[0], self._into.sums(self._counts[1])
        self._queues += int(standing.sum())
        if self.scenario.reward == "queue":
            return -standing
        if self.scenario.reward == "pressure":
            return self._out.sums(there) - self._into.sums(there)
        return (waited - self._waited) / STANDING

    def _let(self, actions: Sequence[int]) -> None:
        """Seconds in which the agents control the signals."""
        for light, action in zip(self._lights, actions, strict=True):
            light.choose(action)
        left = self.scenario.delta_time
        while left:
            self._show()
            seconds = min([left, *(light.left for light in self._lights if light.is_yellow)])
            self._simulate(seconds)
            for light in self._lights:
                light.tick(seconds)
            left -= seconds

    def _simulate(self, seconds: int) -> None:
        """Let so many seconds pass."""
        self._now += seconds
        self._sumo.simulationStep(self._now)

    def _show(self) -> None:
        """Set the signals that have changed."""
        for signal, light in zip(self.scenario.signals, self._lights, strict=True):
            if light.seconds == 0:
                self._sumo.trafficlight.setRedYellowGreenState(signal.name, light.state)

    def _follow(self) -> None:
        """Let the lights be what SUMO shows; while it shows no green phase, the phase is the one before."""
        for signal, light in zip(self.scenario.signals, self._lights, strict=True):
            state = self._sumo.trafficlight.getRedYellowGreenState(signal.name)
            light.follow(state, self.scenario.delta_time)

    def _look(self) -> None:
        """Count the vehicles, and those that stand, on all lanes that matter: (2, lanes).  Most edges are empty."""
        lane, on_edge = self._sumo.lane, self._sumo.edge.getLastStepVehicleNumber
        there, stand = lane.getLastStepVehicleNumber, lane.getLastStepHaltingNumber
        counts = [[0] * len(self._lanes), [0] * len(self._lanes)]
        for edge, own in self._edges.items():
            for place, name in own if on_edge(edge) else ():
                if number := there(name):
                    counts[0][place], counts[1][place] = number, stand(name)
        self._counts = np.array(counts)
        if self.scenario.reward == "diff-waiting-time":
            self._waited = self._waiting({self._lanes[place] for place in np.flatnonzero(self._counts[0])})

    def _waiting(self, occupied: set[str]) -> np.ndarray:
        """(N,) seconds for which the vehicles that are now before each signal, on lanes of these, have stood there."""
        vehicles, stood = self._sumo.lane.getLastStepVehicleIDs, self._sumo.vehicle.getAccumulatedWaitingTime
        waited, before = np.zeros(len(self.scenario.signals)), dict[str, tuple[int, float]]()
        for k, signal in enumerate(self.scenario.signals):
            for vehicle in (each for lane in signal.lanes if lane in occupied for each in vehicles(lane)):
                seconds = stood(vehicle)
                place, elsewhere = self._before.get(vehicle, (k, 0.0))
                before[vehicle] = k, elsewhere if place == k else seconds
                waited[k] += seconds - before[vehicle][1]
        self._before = before
        return waited

    def observations(self) -> np.ndarray:
        """What all agents see, one after another, single precision."""
        seen = np.zeros(self._seen, dtype=SINGLE)
        seen[self._phases + [light.phase for light in self._lights]] = 1.0
        seen[self._changes] = [light.may_change for light in self._lights]
        seen[self._counted] = np.minimum(self._counts[:, self._into.places] / self._room, 1.0)
        return seen

    def measures(self) -> np.ndarray:
        """The numbers of `MEASURES`, of the episode so far."""
        sumo, now = self._sumo, self._sumo.simulation.getTime()
        under_way, outside = sumo.vehicle.getIDList(), sumo.simulation.getPendingVehicles()

        def of_arrived(what: str) -> float:
            return float(sumo.simulation.getParameter("", f"device.tripinfo.{what}"))

        arrived = int(of_arrived("count"))
        entered = arrived + len(under_way)
        waiting = arrived * of_arrived("waitingTime") + sum(
            float(sumo.vehicle.getParameter(each, "device.tripinfo.waitingTime")) for each in under_way)
        travelling = arrived * of_arrived("duration") + sum(now - sumo.vehicle.getDeparture(each) for each in under_way)
        delayed = arrived * of_arrived("departDelay") + sum(map(sumo.vehicle.getDepartDelay, (*under_way, *outside)))
        queue = self._queues / (self.steps * len(self.scenario.signals))
        return np.array([waiting / max(entered, 1), travelling / max(entered, 1),
                         delayed / max(entered + len(outside), 1), queue,
                         3600.0 * arrived / (self.steps * self.scenario.delta_time)])


def _words(error: Exception) -> str:
    """What SUMO says; "Process Error" alone is told in what it has printed."""
    text = str(error).strip()
    return "" if text == "Process Error" else f": {text}"


class _Sides:
    """Lanes of all signals, one signal's after another's; one may belong to several signals.

    Args:
        sides: the lanes' names, signal by signal.
        lanes: those that are counted, each once.

    Attributes:
        places: of the sides' lanes among those.
    """

    def __init__(self, sides: Sequence[Sequence[str]], lanes: Sequence[str]):
        place = {lane: k for k, lane in enumerate(lanes)}
        self.places = np.array([place[lane] for side in sides for lane in side], dtype=int)
        self._owner, self._signals = np.repeat(np.arange(len(sides)), list(map(len, sides))), len(sides)

    def sums(self, numbers: np.ndarray) -> np.ndarray:
        """(N,) sums over the lanes of each signal."""
        return np.bincount(self._owner, numbers[self.places], self._signals)


class _Answers:
    """Answers messages: `BEGIN` with the first observations (singles); `STEP` with rewards (N,) and measures (zeros
    before the episode's end), doubles, and observations.  Of several joint actions the last one's are answered."""

    def __init__(self) -> None:
        self._simulation: Simulation | None = None

    def __call__(self, message: bytes) -> bytes:
        if self._simulation is None:
            self._simulation = Simulation(Scenario.of(message))
            return b""
        simulation, kind, said = self._simulation, message[:1], message[1:]
        if kind == BEGIN:
            simulation.begin(*SEED.unpack(said))
            return simulation.observations().tobytes()
        scenario = simulation.scenario
        for actions in np.frombuffer(said, ACTION).reshape(-1, len(scenario.signals)).tolist():
            rewards = simulation.step(actions)
        measures = simulation.measures() if simulation.steps == scenario.steps else np.zeros(len(MEASURES))
        return np.concatenate([rewards, measures]).astype(NUMBER).tobytes() + simulation.observations().tobytes()


if __name__ == "__main__":
    serve(_Answers)
