"""Pursuit-evasion with networks on eight processes against one process that holds all eight agents: samples a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import Row, compare, race
from netac.processes.mpirun import THREADS, command

PROCESSES = 1
ITERATIONS, BLOCKS = 150, 5
EXPERIMENT = Path(__file__).parents[2] / "examples" / "pursuit.toml"


def measure(comm) -> list[Row]:
    """One row per number of games: the example's own, and four times as many."""
    return [_row(games) for games in (16, 64)]


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
    changed = {"envs": games, "iterations": ITERATIONS, "log_every": ITERATIONS, "checkpoint_every": ITERATIONS}
    options = [part for key, value in changed.items() for part in ("--set", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        subprocess.run([*launcher, sys.executable, "-m", "netac", "run", str(EXPERIMENT), *options, "--out", str(out)],
                       env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        summary = json.loads((out / "summary.json").read_text())
    return summary["wall_seconds"] / summary["env_steps"]
