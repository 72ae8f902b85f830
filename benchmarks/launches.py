"""Programs on several processes; seconds a joint sample of `netac run` there, MPI's start and a warm-up not counted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from netac.comm.launch.command import THREADS, command, netac_run
from netac.comm.launch.family import Mpi, own_mpi
from netac.results.tables import read_metrics

ROOT = Path(__file__).parents[1]


def mpi() -> Mpi:
    """The MPI of this environment.

    Raises:
        SystemExit: there is none.
    """
    return own_mpi() or sys.exit('benchmarks: there is no mpirun; pip install "netac[mpi]"')


def on_processes(processes: int, program: Sequence[str], **variables: str) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that run the program on so many processes, one thread each.

    Args:
        variables: besides, for the environment.
    """
    if processes > 1:
        return command(mpi(), processes, program, variables=variables)
    return [*program], os.environ | dict.fromkeys(THREADS, "1") | {"NETAC_MPI": "0"} | variables


def launched(processes: int, *arguments: str | Path) -> list[str]:
    """The words with which a user launches `netac run ARGUMENTS` on so many processes, in the environment `as_users`.
    """
    return [str(ROOT / "run_mpi.sh"), "-n", str(processes), *map(str, arguments)]


def as_users(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment as users have it: this one's Python first, and modules that need not be compiled each time."""
    kept = {name: value for name, value in environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return kept | {"VIRTUAL_ENV": sys.prefix, "PATH": path}


def seconds_a_sample(experiment: Path, processes: int, warm: int, iterations: int,
                     changed: Mapping[str, object]) -> float:
    """Of the iterations after the first `warm`.

    Args:
        changed: keys of the experiment that are to be otherwise.
    """
    changed = {"iterations": iterations, "log_every": warm, "checkpoint_every": iterations, **changed}
    options = [part for key, value in changed.items() for part in ("--set", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        argv, environment = on_processes(processes, netac_run(str(experiment), *options, "--out", str(out)))
        subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        rows = read_metrics(out / "metrics.csv")
    return float(rows["seconds"][-1] - rows["seconds"][1]) / float(rows["env_steps"][-1] - rows["env_steps"][1])
