"""Traffic: simulated steps a second of two games, with all observations, against SUMO alone, stepped in one process."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np

from benchmarks.timing import Row, compare, race
from netac.envs import traffic

PROCESSES = 1
NETWORK, SIGNALS, GAMES, SECONDS, BLOCKS = "grid4x4", 16, 2, 1800, 9
LEAST = 1.5
ALONE = """
import sys, time
import libsumo
*options, seconds = sys.argv[1:]
libsumo.start(["sumo", *options])
started = time.perf_counter()
for _ in range(int(seconds)):
    libsumo.simulationStep()
print(time.perf_counter() - started)
"""


def measure(comm) -> list[Row]:
    """One row: seconds of traffic a second, from the empty network on, with the file's own programme of the signals.

    What agents choose changes how many vehicles there are, and so what a step takes: both have the same programme here.
    Both have the same options, among them the devices that netac's measures need (a few hundredths of SUMO's time).
    Starting SUMO does not count on either side.
    """
    settings = traffic.Settings(network=NETWORK, seconds=SECONDS, control="fixed-time")
    games = traffic.make(settings, SIGNALS, GAMES)
    options, actions = games.scenario.options(1), np.zeros((SIGNALS, GAMES), dtype=int)

    def netac() -> float:
        games.begin(0, 0)
        started = time.perf_counter()
        for _ in range(SECONDS // settings.delta_time):
            games.step(actions)
            games.observe(range(SIGNALS))
        return (time.perf_counter() - started) / (SECONDS * GAMES)

    def sumo() -> float:
        done = subprocess.run([sys.executable, "-c", ALONE, *options, str(SECONDS)], text=True, check=True,
                              stdout=subprocess.PIPE, env=os.environ)
        return float(done.stdout) / SECONDS

    what = (f"traffic, {NETWORK}, {GAMES} games: seconds of traffic a second / SUMO alone stepped through "
            "libsumo, one process")
    found = compare(what, race(netac, sumo, BLOCKS), lambda seconds: f"{1 / seconds:,.0f} steps/s", LEAST, inverse=True)
    games.close()
    return [found]
