"""What a study adds to its runs: 1,000 finished cells put together, and 100 runs on one page; each as a command."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.launches import on_processes
from benchmarks.timing import Row, seconds
from netac import compare

PROCESSES = 1
BLOCKS = 3
CELLS, RUNS, MEGABYTES = 1_000, 100, 12
EXPERIMENT = Path(__file__).parents[2] / "examples" / "coordination.toml"
SHORT = {"agents": 4, "iterations": 100, "log_every": 5}


def measure(comm) -> list[Row]:
    """Two rows of seconds, one of the size of the page."""
    with tempfile.TemporaryDirectory() as place:
        many, few, page = Path(place) / "many", Path(place) / "few", Path(place) / "report.html"
        steps = [round(0.0005 * (k + 1), 5) for k in range(CELLS)]
        for out, values, seeds in ((many, steps, 1), (few, steps[:RUNS // 10], 10)):
            compare(EXPERIMENT, ["cac"], seeds, vary={"algorithm.actor_step": values}, overrides=SHORT, jobs=1, out=out)
        vary = ["--algorithms", "cac", "--vary", f"algorithm.actor_step={','.join(map(str, steps))}", "--seeds", "1"]
        vary += [part for key, value in SHORT.items() for part in ("--set", f"{key}={value}")]
        rows = [
            seconds(f"`netac compare --collect` of {CELLS:,} finished cells: tables, statistics, pictures",
                    partial(_command, "compare", str(EXPERIMENT), *vary, "--out", str(many), "--collect"), 20, BLOCKS),
            seconds(f"`netac report` of {RUNS} runs", partial(_command, "report", str(few), "--out", str(page)), 15,
                    BLOCKS)]
        size = page.stat().st_size / 1e6
    return [*rows, Row(f"`netac report` of {RUNS} runs: megabytes / those it may take", f"{size:.1f} MB",
                       f"{MEGABYTES} MB", size / MEGABYTES, limit=1)]


def _command(*arguments: str) -> None:
    """On one core, without MPI."""
    argv, environment = on_processes(1, [sys.executable, "-m", "netac", *arguments])
    subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
