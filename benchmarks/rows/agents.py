"""CAC on the coordination game with many agents in one process, on a ring: time and memory per agent as N grows."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import numpy as np

from benchmarks.timing import Row, compare, race
from netac.experiment.run import run

PROCESSES = 1
FEW, MANY, BLOCKS = 1_000, 100_000, 3
ITERATIONS = {FEW: (500, 2_000), MANY: (8, 24)}     # of warm-up, and altogether


def experiment(agents: int) -> dict:
    """Histogram features; one row of metrics after the warm-up and one at the end."""
    warm, every = ITERATIONS[agents]
    return {"agents": agents, "iterations": every, "env": {"name": "coordination", "features": "histogram"},
            "topology": "ring", "algorithm": "cac", "log_every": warm, "checkpoint_every": every}


def measure(comm) -> list[Row]:
    """Two rows: time, and memory."""
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
    return [compare(what.format("time per agent and iteration"), timings, lambda seconds: f"{seconds * 1e9:.0f} ns",
                    1.5, note="iterations after the first block of random numbers"),
            Row(what.format("peak memory"), f"{many / 1e6:.0f} MB", f"{few / 1e6:.0f} MB",
                note=f"{growth / 1e3:.1f} kB for every further agent")]


def _apart(agents: int) -> tuple[float, float]:
    """Seconds per agent and iteration, and peak bytes, of a run in a process of its own."""
    done = subprocess.run([sys.executable, "-m", __name__, str(agents)], capture_output=True, text=True, check=True)
    return tuple(json.loads(done.stdout))


def _alone(agents: int) -> None:
    metrics = run(experiment(agents)).metrics
    seconds, iteration = metrics["seconds"], metrics["iteration"]
    spent = (seconds[-1] - seconds[1]) / (iteration[-1] - iteration[1]) / agents
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps([float(spent), peak]))


if __name__ == "__main__":
    _alone(int(sys.argv[1]))
