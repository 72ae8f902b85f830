"""What a start takes: a run and a launch of next to no iterations, against the imports that they cannot do without."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.launches import as_users, launched, on_processes
from benchmarks.timing import Row, compare, race
from netac.comm.launch.command import netac_run

PROCESSES = 1
RANKS, RUNS, LAUNCHES = 8, 15, 7
EXPERIMENT = Path(__file__).parents[2] / "examples" / "coordination.toml"
IMPORTS = [sys.executable, "-c", "import numpy, scipy.sparse, networkx"]


def measure(comm) -> list[Row]:
    """One row for a run, one for a launch."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = (str(Path(folder) / str(number)) for number in itertools.count())

        def run() -> float:
            argv, environment = on_processes(1, netac_run(str(EXPERIMENT), "--set", "iterations=1", "--out",
                                                          next(fresh)))
            return _seconds(argv, environment)

        def launch() -> float:
            argv = launched(RANKS, EXPERIMENT, "--set", f"agents={RANKS}", "--set", "iterations=10", "--out",
                            next(fresh))
            return _seconds(argv, os.environ)

        alone, together = on_processes(1, IMPORTS), on_processes(RANKS, IMPORTS)
        runs = race(run, partial(_seconds, *alone), RUNS)
        launches = race(launch, partial(_seconds, *together), LAUNCHES)
    return [compare("`netac run` of one iteration of the coordination game: the whole process / `import numpy, "
                    "scipy.sparse, networkx` in one", runs, _milliseconds, 2.0),
            compare(f"`run_mpi.sh -n {RANKS}` of 10 iterations of the coordination game: the whole launch / {RANKS} "
                    f"such imports under the same mpirun ({os.cpu_count()} cores)", launches, _milliseconds, 1.5)]


def _seconds(argv: Sequence[str], environment: os._Environ | dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(argv, env=as_users(environment), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - started


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms"
