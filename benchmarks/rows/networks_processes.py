"""Pursuit-evasion with networks on eight processes against one process with all eight agents: samples a second."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.launches import seconds_a_sample
from benchmarks.timing import Row, compare, race

PROCESSES = 1
WARM, ITERATIONS, BLOCKS = 30, 150, 3      # the warm-up, with what torch loads late, is not timed
EXPERIMENT = Path(__file__).parents[2] / "examples" / "pursuit.toml"


def measure(comm) -> list[Row]:
    """One row per number of games: the example's own, and twice as many."""
    return [_row(games) for games in (32, 64)]


def _row(games: int) -> Row:
    def seconds(processes: int) -> float:
        return seconds_a_sample(EXPERIMENT, processes, WARM, ITERATIONS, {"envs": games})

    timings = race(lambda: seconds(8), lambda: seconds(1), BLOCKS)
    return compare(f"pursuit-evasion with networks, 8 agents, {games} games: joint samples a second on 8 processes / "
                   "in one process", timings, lambda seconds: f"{1 / seconds:,.0f} samples/s", 0.8, inverse=True,
                   note=f"`netac run examples/pursuit.toml`, {os.cpu_count()} cores, MPI's start not counted")
