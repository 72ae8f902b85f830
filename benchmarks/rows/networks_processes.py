"""Pursuit-evasion with networks on eight processes against one process that holds all eight agents: samples a second."""

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
WARM, ITERATIONS, BLOCKS = 30, 150, 3      # the warm-up, with what torch loads late, is not timed
EXPERIMENT = Path(__file__).parents[2] / "examples" / "pursuit.toml"


def measure(comm) -> list[Row]:
    """One row per number of games: the example's own, and twice as many."""
    return [_row(games) for games in (32, 64)]


def _row(games: int) -> Row:
    timings = race(lambda: _seconds(8, games), lambda: _seconds(1, games), BLOCKS)
    return compare(f"pursuit-evasion with networks, 8 agents, {games} games: joint samples a second on 8 processes / in one "
                   "process", timings, lambda seconds: f"{1 / seconds:,.0f} samples/s", 0.8, inverse=True,
                   note=f"`netac run examples/pursuit.toml`, {os.cpu_count()} cores, MPI's start not counted")


def _seconds(processes: int, games: int) -> float:
    """Seconds a joint sample of a launch of its own took."""
    if processes > 1:
        launcher, environment = command(processes)
    else:
        launcher, environment = [], os.environ | dict.fromkeys(THREADS, "1") | {"NETAC_MPI": "0"}
    changed = {"envs": games, "iterations": ITERATIONS, "log_every": WARM, "checkpoint_every": ITERATIONS}
    options = [part for key, value in changed.items() for part in ("--set", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        subprocess.run([*launcher, sys.executable, "-m", "netac", "run", str(EXPERIMENT), *options, "--out", str(out)],
                       env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        rows = read_metrics(out / "metrics.csv")
    return float(rows["seconds"][-1] - rows["seconds"][1]) / float(rows["env_steps"][-1] - rows["env_steps"][1])
