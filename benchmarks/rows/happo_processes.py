"""HAPPO on cooperative navigation on three processes, one per agent, against one process: samples a second."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.launches import seconds_a_sample
from benchmarks.timing import Row, compare, race

PROCESSES = 1
AGENTS = 3
WARM, ITERATIONS, BLOCKS = 5, 25, 5        # the warm-up, with what torch loads late, is not timed
EXPERIMENT = Path(__file__).parents[2] / "examples" / "spread.toml"
PUBLISHED = 5                              # passes over the samples


def measure(comm) -> list[Row]:
    """The published settings."""
    changed = {"agents": AGENTS, "algorithm.epochs": PUBLISHED, "algorithm.critic_epochs": PUBLISHED,
               "evaluate_every": 0}

    def seconds(processes: int) -> float:
        return seconds_a_sample(EXPERIMENT, processes, WARM, ITERATIONS, changed)

    timings = race(lambda: seconds(AGENTS), lambda: seconds(1), BLOCKS)
    return [compare(f"HAPPO on cooperative navigation: joint samples a second on {AGENTS} processes, one per agent, of "
                    "which one is the trainer too / in one process", timings,
                    lambda seconds: f"{1 / seconds:,.0f} samples/s", 0.8, inverse=True,
                    note=f"examples/spread.toml with {PUBLISHED} passes, {os.cpu_count()} cores, "
                         "MPI's start not counted")]
