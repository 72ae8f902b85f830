"""Which MPI there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from netac.comm.launch.family import INTEL, MPICH, OPEN_MPI_4, OPEN_MPI_5, UNKNOWN, Mpi, find_mpi, recognise
from netac.utils.errors import InputError


@pytest.mark.parametrize(("version", "family", "title"), [
    ("mpirun (Open MPI) 4.1.6\n\nReport bugs to ...", OPEN_MPI_4, "Open MPI 4.1.6"),
    ("mpirun (Open MPI) 5.0.11\n\nReport bugs to ...", OPEN_MPI_5, "Open MPI 5.0.11"),
    ("mpirun (OpenRTE) 4.0.3", OPEN_MPI_4, "Open MPI 4.0.3"),
    ("prterun (PRRTE) 10.0.1rc1", OPEN_MPI_5, "Open MPI 10.0.1rc1"),
    ("HYDRA build details:\n    Version:     4.3.2", MPICH, "MPICH"),
    ("Intel(R) MPI Library for Linux* OS, Version 2021.18 Build 20260626", INTEL, "Intel MPI"),
    ("a launcher of its own kind", UNKNOWN, "an MPI unknown to run_mpi.sh"),
    ("", UNKNOWN, "an MPI unknown to run_mpi.sh"),
])
def test_families(version, family, title):
    assert recognise(version) == (family, title)


@pytest.fixture
def installed(tmp_path: Path) -> Callable[..., Path]:
    """`installed(folder, name, version)`: a launcher there that answers so to --version."""
    def make(folder: str, name: str, version: str) -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{version}'\n")
        path.chmod(0o755)
        return path

    return make


def test_mpirun_comes_before_path_and_the_environment_before_the_machine(installed):
    own, machine = installed("own", "mpirun", "(Open MPI) 5.0.1"), installed("machine", "mpirun", "(Open MPI) 4.1.0")
    named = installed("named", "launcher", "MPICH")
    environ = {"PATH": f"{machine.parent}:/nowhere"}
    assert find_mpi(environ) == Mpi(str(machine), OPEN_MPI_4, "Open MPI 4.1.0")
    assert find_mpi(environ, beside=own.parent) == Mpi(str(own), OPEN_MPI_5, "Open MPI 5.0.1")
    assert find_mpi(environ | {"MPIRUN": str(named)}, beside=own.parent) == Mpi(str(named), MPICH, "MPICH")


def test_mpiexec_will_do(installed):
    mpiexec = installed("machine", "mpiexec", "MPICH")
    assert find_mpi({"PATH": str(mpiexec.parent)}) == Mpi(str(mpiexec), MPICH, "MPICH")


def test_no_mpi(tmp_path):
    assert find_mpi({"PATH": str(tmp_path)}) is None
    with pytest.raises(InputError, match=f"^MPIRUN: cannot run {tmp_path}$"):
        find_mpi({"PATH": "", "MPIRUN": str(tmp_path)})
