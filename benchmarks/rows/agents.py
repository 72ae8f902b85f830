"""CAC on the coordination game with many agents in one process, on a ring: time and memory per agent as N grows.

Nothing is left out: a run counts from the reading of its experiment to its result, with everything that is made, drawn
and certified before the first iteration.  A million agents are run as a user runs them, by a command of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.timing import Row, compare, race
from netac.experiment.run import run

PROCESSES = 1
FEW, MANY, BLOCKS = 1_000, 100_000, 5
ITERATIONS = {FEW: 2_500, MANY: 20}                 # about as many seconds
MOST, SECONDS, BYTES = 1_000_000, 90, 6e9           # what a million agents may take
EXAMPLE = Path(__file__).parents[2] / "examples" / "many_agents.toml"


def experiment(agents: int) -> dict:
    """Histogram features; rows of metrics before, half-way and at the end."""
    T = ITERATIONS[agents]
    return {"agents": agents, "iterations": T, "env": {"name": "coordination", "features": "histogram"},
            "topology": "ring", "algorithm": "cac", "log_every": T // 2}


def measure(comm) -> list[Row]:
    """Time and memory of many agents beside few, then of a million agents beside what they may take."""
    memory = {agents: [] for agents in ITERATIONS}

    def side(agents: int):
        def timed() -> float:
            seconds, size = _apart(agents)
            memory[agents].append(size)
            return seconds
        return timed

    what = f"CAC on a ring, one process, histogram features: {{}} at N = {MANY:,} / at N = {FEW:,}"
    timings = race(side(MANY), side(FEW), BLOCKS)
    few, many = (float(np.median(memory[agents])) for agents in (FEW, MANY))
    growth = (many - few) / (MANY - FEW)
    first = f"time per agent and iteration of the first {ITERATIONS[MANY]}, all of the run counted,"
    million = f"netac run examples/many_agents.toml, N = {MOST:,}, 100 iterations, from start to end: {{}} / limit"
    seconds, size = _as_user()
    return [compare(what.format(first), timings, lambda seconds: f"{seconds * 1e9:.0f} ns", 1.5,
                    note=f"{ITERATIONS[FEW]:,} iterations of {FEW:,} agents, about as many seconds"),
            Row(what.format("peak memory"), f"{many / 1e6:.0f} MB", f"{few / 1e6:.0f} MB",
                note=f"{growth / 1e3:.1f} kB for every further agent"),
            Row(million.format("seconds"), f"{seconds:.0f} s", f"{SECONDS} s", seconds / SECONDS, limit=1.0),
            Row(million.format("peak memory"), f"{size / 1e9:.1f} GB", f"{BYTES / 1e9:.0f} GB", size / BYTES,
                limit=1.0)]


def _apart(agents: int) -> tuple[float, float]:
    """Seconds per agent and iteration, and peak bytes, of a run in a process of its own."""
    done, peak = _watched([sys.executable, "-m", __name__, str(agents)])
    return json.loads(done), peak


def _as_user() -> tuple[float, float]:
    """Seconds and peak bytes of the command with a million agents."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        _, peak = _watched([sys.executable, "-m", "netac", "run", str(EXAMPLE), "--set", f"agents={MOST}",
                            "--out", str(Path(folder) / "run")])
        return time.perf_counter() - started, peak


def _watched(command: list[str]) -> tuple[str, float]:
    """What a command writes to standard output, and its peak bytes.

    Raises:
        CalledProcessError: it failed.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None, "a pipe"
    with process.stdout as stream:
        said = stream.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return said, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _alone(agents: int) -> None:
    started = time.perf_counter()
    run(experiment(agents))
    print((time.perf_counter() - started) / ITERATIONS[agents] / agents)


if __name__ == "__main__":
    _alone(int(sys.argv[1]))
