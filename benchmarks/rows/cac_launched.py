"""CAC on the coordination game, one agent per process, 8 processes: as run_mpi.sh and as mpirun launch a program."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.launches import as_users, launched, on_processes
from benchmarks.timing import Row, compare, microseconds, race
from netac.results.records import load_summary

PROCESSES = 1
RANKS, ITERATIONS, BLOCKS = 8, 3_000, 7
EXPERIMENT = Path(__file__).parents[2] / "examples" / "coordination.toml"


def measure(comm) -> list[Row]:
    """One row."""
    timings = race(_netac, _bare, BLOCKS)
    return [compare(f"CAC on the coordination game, {RANKS} processes, as `run_mpi.sh` launches them: iteration / of a "
                    "bare mpi4py and NumPy script with the same messages and arithmetic, as `mpirun` launches it "
                    f"({os.cpu_count()} cores)", timings, microseconds, 1.0)]


def _netac() -> float:
    with tempfile.TemporaryDirectory() as folder:
        out, options = Path(folder) / "run", {"agents": RANKS, "iterations": ITERATIONS, "log_every": ITERATIONS,
                                              "checkpoint_every": ITERATIONS}
        words = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
        subprocess.run(launched(RANKS, EXPERIMENT, *words, "--out", str(out)), env=as_users(os.environ), check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return load_summary(out)["wall_seconds"] / ITERATIONS


def _bare() -> float:
    argv, environment = on_processes(RANKS, [sys.executable, "-m", "benchmarks.floors.cac_mpi", str(ITERATIONS)])
    done = subprocess.run(argv, env=as_users(environment), check=True, text=True, capture_output=True)
    return float(done.stdout) / ITERATIONS
