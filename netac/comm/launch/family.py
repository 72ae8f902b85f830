"""Which MPI there is: where its mpirun is, and of which family it is, as that decides its flags and its reports."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netac.utils.errors import InputError

OPEN_MPI_4, OPEN_MPI_5, MPICH, INTEL, UNKNOWN = "open-mpi-4", "open-mpi-5", "mpich", "intel", "unknown"
OPEN_MPI = (OPEN_MPI_4, OPEN_MPI_5)
HYDRA = (MPICH, INTEL)                  # their mpirun is Hydra, which reports dead ranks on standard output


@dataclass(frozen=True)
class Mpi:
    """An MPI's launcher.

    Attributes:
        mpirun: its path.
        family: one of `OPEN_MPI_4`, `OPEN_MPI_5`, `MPICH`, `INTEL`, `UNKNOWN`.
        title: what to call it in a message.
    """

    mpirun: str
    family: str
    title: str


def recognise(version: str) -> tuple[str, str]:
    """Family and title of an MPI, from what its mpirun answers to --version."""
    found = re.search(r"(?:Open MPI|OpenRTE|PRRTE)\)? +(([0-9]+)[0-9a-z.]*)", version)
    if found:
        return OPEN_MPI_5 if int(found[2]) >= 5 else OPEN_MPI_4, f"Open MPI {found[1]}"
    if "Intel(R) MPI" in version:
        return INTEL, "Intel MPI"
    if any(word in version for word in ("HYDRA", "MPICH", "mpich")):
        return MPICH, "MPICH"
    return UNKNOWN, "an MPI unknown to run_mpi.sh"


def find_mpi(environ: Mapping[str, str], beside: Path | None = None) -> Mpi | None:
    """The MPI that MPIRUN names, else the one with mpirun or mpiexec on PATH, None without any.

    Args:
        environ: has MPIRUN and PATH.
        beside: a folder to look into before those of PATH.

    Raises:
        InputError: what MPIRUN names cannot be run.
    """
    path = ":".join(filter(None, [str(beside or ""), environ.get("PATH")]))
    named = environ.get("MPIRUN")
    if named:
        mpirun = shutil.which(named, path=path)
        if mpirun is None:
            raise InputError(f"cannot run {named}", key="MPIRUN")
    else:
        mpirun = shutil.which("mpirun", path=path) or shutil.which("mpiexec", path=path)
    return Mpi(mpirun, *recognise(_version(mpirun, environ))) if mpirun else None


def own_mpi() -> Mpi | None:
    """The MPI of this environment: as `find_mpi`, the one beside this interpreter before those on PATH.

    Raises:
        InputError: as `find_mpi`.
    """
    return find_mpi(os.environ, beside=Path(sys.executable).parent)


def _version(mpirun: str, environ: Mapping[str, str]) -> str:
    """What it answers to --version; "" where it cannot be started."""
    try:
        done = subprocess.run([mpirun, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.STDOUT, text=True, errors="replace", env=with_parts(mpirun, environ))
    except OSError:
        return ""
    return done.stdout


def with_parts(mpirun: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the launcher's folder first on PATH, as Intel's mpirun looks there for its parts, and with a
    HOME, without which Open MPI's does not start."""
    home = os.path.expanduser("~")
    return {"HOME": home if os.path.isabs(home) else "/", **environ,
            "PATH": ":".join(filter(None, [str(Path(mpirun).absolute().parent), environ.get("PATH")]))}
