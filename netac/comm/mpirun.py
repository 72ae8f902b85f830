"""How to launch processes with the MPI that is here, for `netac compare --processes` (users launch with run_mpi.sh)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from netac.utils.errors import InputError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")


def command(processes: int) -> tuple[list[str], dict[str, str]]:
    """The launcher with its options, and the environment to start it in: one thread per process.

    Raises:
        InputError: there is no mpirun or mpiexec.
    """
    beside = Path(sys.executable).parent
    found = next((path for name in ("mpirun", "mpiexec") for path in (shutil.which(name, path=str(beside)),
                                                                      shutil.which(name)) if path), None)
    if found is None:
        raise InputError("there is no mpirun", key="--processes", valid='pip install "netac[mpi]", or --processes 1')
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    environment = os.environ | dict.fromkeys(THREADS, "1") | {"NETAC_MPI": "1"}
    argv = [found, "-n", str(processes)]
    if "Open MPI" in said or "open-mpi" in said:
        argv.insert(1, "--oversubscribe")
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return argv, environment
