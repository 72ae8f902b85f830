"""HAPPO on cooperative navigation on three processes, one per agent, against one process with all of them: samples a second."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import Row, compare, race
from netac.processes.mpirun import THREADS, command
from netac.results.metrics import read_metrics

PROCESSES = 1
AGENTS = 3
WARM, ITERATIONS, BLOCKS = 5, 25, 5        # the warm-up, with what torch loads late, is not timed
EXPERIMENT = Path(__file__).parents[2] / "examples" / "spread.toml"
PUBLISHED = 5                              # passes over the samples for the critic


def measure(comm) -> list[Row]:
    """The published settings."""
    timings = race(lambda: _seconds(AGENTS), lambda: _seconds(1), BLOCKS)
    return [compare(f"HAPPO on cooperative navigation: joint samples a second on {AGENTS} processes, one per agent, of which "
                    "one is the trainer too / in one process", timings, lambda seconds: f"{1 / seconds:,.0f} samples/s", 0.8,
                    inverse=True, note=f"examples/spread.toml with {PUBLISHED} passes for the critic, {os.cpu_count()} cores, "
                                       "MPI's start not counted")]


def _seconds(processes: int) -> float:
    """Seconds a joint sample of a launch of its own took."""
    if processes > 1:
        launcher, environment = command(processes)
    else:
        launcher, environment = [], os.environ | dict.fromkeys(THREADS, "1") | {"NETAC_MPI": "0"}
    changed = {"agents": AGENTS, "iterations": ITERATIONS, "log_every": WARM, "checkpoint_every": ITERATIONS,
               "algorithm.critic_epochs": PUBLISHED}
    options = [part for key, value in changed.items() for part in ("--set", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        subprocess.run([*launcher, sys.executable, "-m", "netac", "run", str(EXPERIMENT), *options, "--out", str(out)],
                       env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        rows = read_metrics(out / "metrics.csv")
    return float(rows["seconds"][-1] - rows["seconds"][1]) / float(rows["env_steps"][-1] - rows["env_steps"][1])
