"""What conditions of the network cost: none at all, compression, the asynchronous schedule, loss among many agents."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from benchmarks.floors.compressed_numpy import Choco
from benchmarks.timing import Row, compare, microseconds, per_round, race
from netac import topology
from netac.comm.conditions._events import AsynchronousGossip
from netac.comm.conditions._time import Times
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.experiment import config
from netac.experiment.run import run
from netac.utils import garbage

PROCESSES = 1
BLOCKS = 15
AGENTS, WIDTH, FRACTION, GAMMA = 8, 100_000, 0.01, 0.05
MANY = 10_000
EVENTS = 100_000                 # a second, at least
BEFORE = "BEFORE"                # a checkout of netac before there were conditions

ROUNDS = '''
import sys, time, numpy as np
from netac import topology
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
network = Network(topology.load("ring", 16).matrix, Placement(16), Ledger(16))
x = np.random.default_rng(0).random((16, 1_000))
for line in sys.stdin:
    started = time.perf_counter()
    for _ in range(2_000):
        network.mix(0, x)
    print((time.perf_counter() - started) / 2_000, flush=True)
'''


def measure(comm) -> list[Row]:
    """Four rows, the first only where there is a checkout to compare with."""
    return [*_without(), _compressed(), _events(), _lossy()]


class _Other:
    """Rounds of a consensus by the netac in a folder, in a process of its own."""

    def __init__(self, folder: str):
        environment = os.environ | {"PYTHONPATH": folder}
        self._process = subprocess.Popen([sys.executable, "-c", ROUNDS], text=True, cwd=folder, env=environment,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self) -> float:
        """Seconds of a round."""
        assert self._process.stdin is not None and self._process.stdout is not None, "they are pipes"
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _without() -> list[Row]:
    folder = os.environ.get(BEFORE)
    if not folder:
        return []
    now, before = _Other(str(Path(__file__).parents[2])), _Other(folder)
    timings = race(now, before, 4 * BLOCKS)                  # single ones scatter by a tenth
    now.close()
    before.close()
    return [compare("consensus round without conditions, ring of 16 agents in one process, 1,000 doubles / the same "
                    "before there were any", timings, microseconds, 1.02)]


def _network(graph: str, table: dict[str, Any]) -> tuple[Network, np.ndarray]:
    tables = {"agents": AGENTS, "iterations": 1, "env": "coordination", "topology": graph, "algorithm": "cac",
              "network": table}
    loaded = topology.load(graph, AGENTS)
    conditions = config.read(tables).experiment().network.make(loaded, 1)
    return Network(loaded.matrix, Placement(AGENTS), Ledger(AGENTS), None, conditions), loaded.matrix(0).toarray()


def _compressed() -> Row:
    network, W = _network("ring", {"top-k": {"fraction": FRACTION, "step": GAMMA}})
    floor = Choco(W, round(FRACTION * WIDTH), GAMMA, (AGENTS, WIDTH))
    x = np.random.default_rng(0).standard_normal((AGENTS, WIDTH))
    ours, theirs = x, x
    for t in range(5):
        ours, theirs = network.mix(t, ours), floor.mix(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    held = [ours, theirs]

    def netac() -> None:
        held[0] = network.mix(0, held[0])

    def plain() -> None:
        held[1] = floor.mix(held[1])

    return compare(f"round with the top {FRACTION:.0%} of {WIDTH:,} doubles, CHOCO, {AGENTS} agents on a ring in one "
                   "process, packed and counted / the same in plain NumPy, not packed",
                   race(per_round(netac, 10), per_round(plain, 10), BLOCKS), microseconds, 1.2)


def _events() -> Row:
    """The seconds of so many events over those that they may take, without latency and on a graph of radius 0.1."""
    graph = nx.random_geometric_graph(1_000, 0.1, seed=1)
    hearer, speaker = np.array([*graph.edges, *[(j, i) for i, j in graph.edges]]).T
    degrees = np.bincount(hearer, minlength=1_000)
    weight = 1.0 / (1 + np.maximum(degrees[hearer], degrees[speaker]))
    times = Times(compute=1.0, jitter=1.0, distribution="exponential")
    engine = AsynchronousGossip(1_000, hearer, speaker, weight, times, 100)
    x, until, rates = np.random.default_rng(0).standard_normal((1_000, 100)), 0.0, []
    with garbage.iterating():
        for _ in range(BLOCKS):
            done, started, until = engine.events.sum(), time.perf_counter(), until + 50.0
            x = engine.advance(x, until)
            rates.append((engine.events.sum() - done) / (time.perf_counter() - started))
    low, middle, high = np.quantile(rates[1:], [0.25, 0.5, 0.75]).tolist()
    return Row("asynchronous schedule, 1,000 agents on a geometric graph of radius 0.1, no latency, 100 doubles, one "
               f"process: seconds an event / 1 of {EVENTS:,}", f"{middle:,.0f} events/s", f"{EVENTS:,} events/s",
               EVENTS / middle, (EVENTS / high, EVENTS / low), 1)


def _lossy() -> Row:
    def seconds(network: dict[str, Any]) -> float:
        tables = {"agents": MANY, "iterations": 220, "log_every": 20, "env": {"name": "coordination",
                  "features": "histogram"}, "topology": "ring", "network": network,
                  "algorithm": {"name": "cac", "actor_step": 0.05, "critic_step": 0.1, "reward_step": 0.1}}
        passed = run(tables).metrics["seconds"]
        return float(passed[-1] - passed[1]) / 200

    return compare(f"{MANY:,} agents, ring, coordination game, 10 % of the messages lost: iteration / without loss",
                   race(lambda: seconds({"loss": 0.1}), lambda: seconds({}), 9), microseconds, 1.5)
