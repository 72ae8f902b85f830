"""Traffic: simulated steps a second of two games, with all observations, against SUMO alone, stepped in one process."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from benchmarks.timing import Row, compare, race
from netac.envs import traffic

PROCESSES = 1
NETWORK, SIGNALS, GAMES, SECONDS, BLOCKS = "grid4x4", 16, 2, 1800, 7
LEAST = 1.5
ALONE = """
import sys, time
import libsumo
*options, seconds = sys.argv[1:]
libsumo.start(["sumo", *options])
print("begun", flush=True)
for line in sys.stdin:
    for _ in range(int(seconds)):
        libsumo.simulationStep()
    print(flush=True)
"""


def measure(comm) -> list[Row]:
    """Three rows: seconds of traffic a second, from the empty network on, with the file's own programme of the signals.

    What agents choose changes how many vehicles there are, and so what a step takes: both have the same programme here.
    Both have the same options, among them the device that netac's measures of trips need.  Starting SUMO does not count
    on either side.  The other rows are what two cores allow at most: as many of SUMO alone side by side, which share
    caches and memory, and the same where they wait for each other after every action, as games that are learnt from do;
    neither count vehicles.
    """
    settings = traffic.Settings(network=NETWORK, seconds=SECONDS, control="fixed-time")
    games = traffic.make(settings, SIGNALS, GAMES)
    actions = np.zeros((SIGNALS, GAMES), dtype=int)

    def netac() -> float:
        games.begin(0, 0)
        started = time.perf_counter()
        for _ in range(SECONDS // settings.delta_time):
            games.step(actions)
            games.observe(range(SIGNALS))
        return (time.perf_counter() - started) / (SECONDS * GAMES)

    def sumo(processes: int = 1, at_once: int = SECONDS) -> float:
        argvs = [[sys.executable, "-c", ALONE, *games.scenario.options(1 + k), str(at_once)] for k in range(processes)]
        alone = [subprocess.Popen(argv, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for argv in argvs]
        for each in alone:
            each.stdout.readline()
        started = time.perf_counter()
        for _ in range(SECONDS // at_once):
            for each in alone:
                each.stdin.write("\n")
                each.stdin.flush()
            for each in alone:
                each.stdout.readline()
        seconds = time.perf_counter() - started
        for each in alone:
            each.communicate()
        return seconds / (SECONDS * processes)

    def row(what: str, side, limit: float | None) -> Row:
        timings = race(side, sumo, BLOCKS)
        return compare(f"traffic, {NETWORK}, {what}: seconds of traffic a second / SUMO alone stepped through libsumo, "
                       "one process", timings, lambda seconds: f"{1 / seconds:,.0f} steps/s", limit, inverse=True)

    found = [row(f"{GAMES} games", netac, LEAST), row(f"{GAMES} of SUMO alone at once", lambda: sumo(GAMES), None),
             row(f"{GAMES} of SUMO alone that wait for each other every {settings.delta_time} seconds",
                 lambda: sumo(GAMES, settings.delta_time), None)]
    games.close()
    return found
