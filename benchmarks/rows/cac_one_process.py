"""CAC on the coordination game with ten agents in one process: an iteration against a NumPy loop's."""

from __future__ import annotations

from typing import Any

from benchmarks.floors import cac_numpy
from benchmarks.timing import Row, compare, microseconds, race
from netac.experiment.run import run

PROCESSES = 1
AGENTS, ITERATIONS, BLOCKS = 10, 3_000, 15


def experiment(agents: int, iterations: int) -> dict[str, Any]:
    """The coordination game as the paper plays it, logged at its end only."""
    return {"agents": agents, "iterations": iterations, "env": "coordination",
            "topology": {"name": "periodic-complete", "period": 5}, "algorithm": "cac",
            "log_every": iterations, "checkpoint_every": iterations}


def measure(comm) -> list[Row]:
    """One row."""
    table = experiment(AGENTS, ITERATIONS)
    timings = race(lambda: run(table).summary["wall_seconds"] / ITERATIONS,
                   lambda: cac_numpy.run(AGENTS, ITERATIONS, seed=0)[0] / ITERATIONS, BLOCKS)
    return [compare(f"CAC on the coordination game, one process, {AGENTS} agents: iteration / a NumPy loop over "
                    "iterations, vectorised over agents", timings, microseconds, 1.2)]
