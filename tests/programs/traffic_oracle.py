"""Episodes of `netac.envs._traffic_simulation` held against plain loops over all vehicles, second by second.

traffic_oracle.py FOLDER REWARD CONTROL: plays the town with random actions; FOLDER is where SUMO writes its own account
of every trip.  Prints as JSON the greatest difference of each kind.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import libsumo
import numpy as np

from netac.envs._traffic_roads import read_roads
from netac.envs._traffic_simulation import Scenario, Simulation

TOWN = Path(__file__).parents[1] / "data" / "town"
DELTA, STEPS = 5, 100


class Watch:
    """Every second: who is on which lane, and who stands.

    Attributes:
        stood: vehicle -> seconds for which it has stood since it entered.
        states: what every signal showed.
    """

    def __init__(self, signals):
        self.stood, self.states, self._signals = {}, {signal.name: [] for signal in signals}, signals
        self._step = libsumo.simulationStep
        libsumo.simulationStep = self._stepped

    def _stepped(self, until):
        while libsumo.simulation.getTime() < until:
            self._second()

    def _second(self):
        self._step()
        for signal in self._signals:
            self.states[signal.name].append(libsumo.trafficlight.getRedYellowGreenState(signal.name))
        self.lanes = {vehicle: libsumo.vehicle.getLaneID(vehicle) for vehicle in libsumo.vehicle.getIDList()}
        self.stands = {vehicle: libsumo.vehicle.getSpeed(vehicle) < 0.1 for vehicle in self.lanes}
        for vehicle, stands in self.stands.items():
            self.stood[vehicle] = self.stood[vehicle] + stands if vehicle in self.stood else 0

    def before(self, signal):
        """The vehicles on the lanes into a signal."""
        return [vehicle for vehicle, lane in self.lanes.items() if lane in signal.lanes]


def main(folder, reward, control):
    signals = read_roads(TOWN / "town.net.xml").signals
    scenario = Scenario(str(TOWN / "town.net.xml"), str(TOWN / "town.rou.xml"), 0, STEPS, DELTA, None, 5, reward,
                        control, -1, signals)
    trips = Path(folder) / "trips.xml"
    game = Simulation(scenario, ["--tripinfo-output", str(trips), "--tripinfo-output.write-unfinished",
                                 "--tripinfo-output.write-undeparted"])
    watch, rng = Watch(signals), np.random.default_rng(3)
    worst = {"reward": 0.0, "density": 0.0, "queue": 0.0, "stood": 0.0}
    game.begin(7)
    elsewhere, waited, queues = {}, np.zeros(3), []
    for _ in range(STEPS):
        got = game.step([int(rng.integers(len(signal.greens))) for signal in signals])
        seen = np.split(game.observations(), np.cumsum([signal.seen for signal in signals])[:-1])
        now, at = np.zeros(3), {}
        for k, signal in enumerate(signals):
            here, L = watch.before(signal), len(signal.lanes)
            standing = sum(watch.stands[vehicle] for vehicle in here)
            queues.append(standing)
            for vehicle in here:
                kept = elsewhere.get(vehicle)
                at[vehicle] = k, (0 if kept is None else kept[1] if kept[0] == k else watch.stood[vehicle])
                now[k] += watch.stood[vehicle] - at[vehicle][1]
            behind = sum(lane in signal.leaving for lane in watch.lanes.values())
            wanted = {"queue": -standing, "pressure": behind - len(here),
                      "diff-waiting-time": (waited[k] - now[k]) / 100}[reward]
            worst["reward"] = max(worst["reward"], abs(got[k] - wanted))
            for j, (lane, length) in enumerate(zip(signal.lanes, signal.lengths, strict=True)):
                there = [vehicle for vehicle in here if watch.lanes[vehicle] == lane]
                full = min(len(there) / (length / 7.5), 1)
                stopped = min(sum(watch.stands[vehicle] for vehicle in there) / (length / 7.5), 1)
                worst["density"] = max(worst["density"], abs(seen[k][len(signal.greens) + 1 + j] - full))
                worst["queue"] = max(worst["queue"], abs(seen[k][len(signal.greens) + 1 + L + j] - stopped))
        elsewhere, waited = at, now
    for vehicle in watch.lanes:
        worst["stood"] = max(worst["stood"], abs(libsumo.vehicle.getAccumulatedWaitingTime(vehicle)
                                                 - watch.stood[vehicle]))
    measures = dict(zip(("waiting_time", "travel_time", "entry_delay", "queue", "throughput"), game.measures().tolist(),
                        strict=True))
    libsumo.close()
    told = [trip.attrib for trip in ElementTree.parse(trips).getroot().iter("tripinfo")]
    entered = [trip for trip in told if float(trip["depart"]) >= 0]
    arrived = [trip for trip in entered if float(trip["arrival"]) >= 0]
    sumo = {"waiting_time": np.mean([float(trip["waitingTime"]) for trip in entered]),
            "travel_time": np.mean([float(trip["duration"]) for trip in entered]),
            "entry_delay": np.mean([float(trip["departDelay"]) for trip in told]),
            "queue": np.mean(queues), "throughput": 3600 * len(arrived) / (DELTA * STEPS)}
    print(json.dumps({"worst": worst, "measures": measures, "sumo": sumo, "arrived": len(arrived),
                      "entered": len(entered), "told": len(told), "states": watch.states}))


if __name__ == "__main__":
    main(*sys.argv[1:])
