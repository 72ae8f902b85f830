"""CAC on the coordination game, one agent per process, 8 processes: an iteration against a bare script's."""

from __future__ import annotations

from benchmarks.floors import cac_mpi
from benchmarks.rows.cac_one_process import experiment
from benchmarks.timing import Row, compare, microseconds, race
from netac.experiment.run import run

PROCESSES = 8
ITERATIONS, BLOCKS = 3_000, 7


def measure(comm) -> list[Row]:
    """One row."""
    table = experiment(comm.size, ITERATIONS)
    timings = race(lambda: run(table).summary["wall_seconds"] / ITERATIONS,
                   lambda: cac_mpi.run(comm, ITERATIONS, seed=0)[0] / ITERATIONS, BLOCKS)
    return [compare(f"CAC on the coordination game, {comm.size} processes: iteration / a bare mpi4py and NumPy script "
                    "with the same messages and arithmetic", timings, microseconds, 1.4)]
