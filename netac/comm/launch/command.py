"""The command and the environment that start a program on several MPI processes, one thread each."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from netac.comm.launch.family import HYDRA, MPICH, OPEN_MPI, OPEN_MPI_5, Mpi, with_parts
from netac.comm.launch.rank import TRACEBACK
from netac.utils.errors import InputError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
           "NUMEXPR_NUM_THREADS")
KEEP_ALIVE = {"time": "5", "intvl": "2", "probes": "3"}     # a host that is lost is missed after 5 + 3 x 2 seconds
ABORT_DELAY = {"OMPI_MCA_opal_abort_delay": "1"}            # see `patience`
TEMPORARY = ("TMPDIR", "TMP", "TEMP")       # name a folder for temporary files, the first that is set: Open MPI's order


def rank_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What every process of a launch is to find in its environment: one thread, NETAC_MPI, our PYTHONPATH, and
    whether tracebacks are wanted."""
    passed = {name: environ[name] for name in ("PYTHONPATH", TRACEBACK) if environ.get(name)}
    return dict.fromkeys((*THREADS, "NETAC_MPI"), "1") | passed


def flags(family: str, processes: int, *, cores: int, hostfile: str | None = None, root: bool = False) -> list[str]:
    """What this MPI needs for so many processes.

    Open MPI counts slots and refuses root; it yields the processor by itself once a node is oversubscribed.  MPICH and
    Intel MPI start any number of processes and need no flag (measured: Intel's I_MPI_PIN=0 makes 8 ranks on 2 cores
    fifty times slower).

    Args:
        cores: how many processes may have a core each; 0 where that is unknown, or others share the machine.
        hostfile: hosts to start them on, in the MPI's own format.
        root: whether the user is root.
    """
    found = ["-n", str(processes)]
    hosts = [hostfile] if hostfile else []
    if family in OPEN_MPI:
        found += ["--allow-run-as-root"] if root else []
        if processes > cores:
            found += ["--map-by", ":OVERSUBSCRIBE"] if family == OPEN_MPI_5 else ["--oversubscribe"]
            found += ["--bind-to", "none"]
        return found + [word for host in hosts for word in ("--hostfile", host)]
    return found + [word for host in hosts for word in ("-f" if family == MPICH else "-machinefile", host)]


def passing(family: str, variables: Mapping[str, str]) -> list[str]:
    """Flags with which the variables reach remote hosts, too."""
    if family in OPEN_MPI:
        return [word for name, value in variables.items() for word in ("-x", f"{name}={value}")]
    if family in HYDRA:
        return [word for name, value in variables.items() for word in ("-genv", name, value)]
    return []


def patience(family: str, hostfile: str | None) -> dict[str, str]:
    """What an MPI is to know, as environment variables, of hosts that vanish and processes that die.

    Open MPI misses a host after eight minutes only.  On several hosts the end of a process is noticed by its peers,
    too, which then abort; they wait for a second, so that the one that really died is reported.
    """
    if family not in OPEN_MPI:
        return {}
    prefix = "PRTE" if family == OPEN_MPI_5 else "OMPI"
    alive = {f"{prefix}_MCA_oob_tcp_keepalive_{name}": value for name, value in KEEP_ALIVE.items()}
    return alive | (ABORT_DELAY if hostfile else {})


def command(mpi: Mpi, processes: int, program: Sequence[str], *, cores: int = 0, hostfile: str | None = None,
            variables: Mapping[str, str] | None = None,
            environ: Mapping[str, str] = os.environ) -> tuple[list[str], dict[str, str]]:
    """The command that runs the program on so many processes, and the environment to start it in.

    Args:
        mpi: the launcher.
        program: the program and its arguments.
        cores, hostfile: as `flags`; by default others may share the machine.
        variables: what the processes find in their environment besides `rank_variables`, or instead.
        environ: the environment to start from.

    Raises:
        InputError: the MPI could not work here (`check_folders`).
    """
    check_folders(environ)
    passed = rank_variables(environ) | dict(variables or {})
    argv = [mpi.mpirun, *flags(mpi.family, processes, cores=cores, hostfile=hostfile, root=is_root()),
            *passing(mpi.family, passed), *program]
    return argv, patience(mpi.family, hostfile) | with_parts(mpi.mpirun, environ) | passed


def check_folders(environ: Mapping[str, str]) -> None:
    """Whether there are the folders that launchers want: the current one, and one for temporary files.

    Raises:
        InputError: one of them is missing.
    """
    try:
        os.getcwd()
    except OSError:
        raise InputError("the current folder has been removed", valid="cd into one that exists") from None
    name = next((name for name in TEMPORARY if name in environ), None)
    if name and not _can_be_written(environ[name]):
        folder = environ[name]
        make = f" (mkdir -p {shlex.quote(folder)})" if folder and not os.path.exists(folder) else ""
        raise InputError("is no folder for temporary files", key=name, found=folder,
                         valid=f"one that can be written{make}, or unset {name}")


def _can_be_written(folder: str) -> bool:
    """Whether folders can be made in it."""
    if not folder:
        return False
    try:
        os.rmdir(tempfile.mkdtemp(dir=folder))
    except OSError:
        return False
    return True


def netac_run(*arguments: str) -> list[str]:
    """The program `netac run` with these arguments, on this interpreter."""
    return [sys.executable, "-m", "netac", "run", *arguments]


def is_root() -> bool:
    """Whether the user is root."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def slots(hosts: str) -> int:
    """How many processes the text of a hostfile grants ("host slots=8", "host:8"), 0 where a line does not say."""
    lines = [line for line in hosts.splitlines() if line.strip(" \t") and not line.lstrip(" \t").startswith("#")]
    found = [re.search(r"(?:slots *= *|:)([0-9]+)", line) for line in lines]
    return sum(int(match[1]) for match in found if match) if None not in found else 0


def count_cores(environ: Mapping[str, str] = os.environ, hostfile: str | None = None) -> int:
    """How many processes the hostfile or the Slurm job grants, else how many cores this machine has; 0: unknown."""
    if hostfile:
        return slots(Path(hostfile).read_text(encoding="utf-8-sig", errors="replace"))
    if environ.get("SLURM_NTASKS", "").isdecimal():
        return int(environ["SLURM_NTASKS"])
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    siblings = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    physical = len({path.read_text() for path in siblings})
    return min(usable, physical or usable)
