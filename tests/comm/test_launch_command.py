"""Flags and environment for several processes: pure functions of the MPI, the number of processes and the cores."""

from __future__ import annotations

import sys

import pytest

from netac.comm.launch.command import THREADS, command, count_cores, flags, netac_run, passing, rank_variables, slots
from netac.comm.launch.family import INTEL, MPICH, OPEN_MPI_4, OPEN_MPI_5, UNKNOWN, Mpi


@pytest.mark.parametrize(("family", "processes", "cores", "expected"), [
    (OPEN_MPI_5, 2, 2, []),
    (OPEN_MPI_5, 3, 2, ["--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"]),
    (OPEN_MPI_5, 1, 0, ["--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"]),     # unknown, or others share the machine
    (OPEN_MPI_4, 3, 2, ["--oversubscribe", "--bind-to", "none"]),
    (MPICH, 3, 2, []),
    (INTEL, 3, 2, []),      # no pinning flag: measured
    (UNKNOWN, 3, 2, []),
])
def test_only_open_mpi_counts_cores(family, processes, cores, expected):
    assert flags(family, processes, cores=cores) == ["-n", str(processes), *expected]


def test_only_open_mpi_refuses_root():
    assert flags(OPEN_MPI_5, 1, cores=1, root=True) == ["-n", "1", "--allow-run-as-root"]
    assert flags(MPICH, 1, cores=1, root=True) == ["-n", "1"]


def test_variables_reach_remote_hosts():
    assert passing(OPEN_MPI_4, {"A": "1 2"}) == passing(OPEN_MPI_5, {"A": "1 2"}) == ["-x", "A=1 2"]
    assert passing(MPICH, {"A": "1 2"}) == passing(INTEL, {"A": "1 2"}) == ["-genv", "A", "1 2"]
    assert passing(UNKNOWN, {"A": "1 2"}) == []


def test_one_thread_per_process():
    ones = dict.fromkeys((*THREADS, "NETAC_MPI"), "1")
    assert rank_variables({"OMP_NUM_THREADS": "7"}) == ones
    assert rank_variables({"PYTHONPATH": "mine"}) == ones | {"PYTHONPATH": "mine"}


def test_the_caller_has_the_last_word_on_variables():
    mpi = Mpi("/opt/mpi/bin/mpirun", MPICH, "MPICH")
    ours = {"PATH": "/bin", "HOME": "/h"}
    argv, environment = command(mpi, 2, ["program"], variables={"NETAC_MPI": "0"}, environ=ours)
    assert argv[:3] == [mpi.mpirun, "-n", "2"] and argv[-1] == "program"
    assert argv[argv.index("NETAC_MPI") + 1] == environment["NETAC_MPI"] == "0"
    assert environment["OMP_NUM_THREADS"] == "1" and environment["HOME"] == "/h"
    assert environment["PATH"] == "/opt/mpi/bin:/bin"


def test_by_default_nothing_is_bound_as_others_may_share_the_machine():
    argv, _ = command(Mpi("mpirun", OPEN_MPI_5, "Open MPI 5"), 1, ["program"])
    assert argv[argv.index("--bind-to") + 1] == "none"


@pytest.mark.parametrize(("hosts", "expected"), [
    ("a slots=4\nb slots = 3\n", 7), ("# all\n\n  # more\na:8\n", 8), ("a slots=4\nb\n", 0), ("", 0),
])
def test_slots(hosts, expected):
    assert slots(hosts) == expected


def test_a_slurm_job_grants_its_tasks(tmp_path):
    assert count_cores({"SLURM_NTASKS": "5000"}) == 5000
    assert count_cores({"SLURM_NTASKS": "5(x2)"}) == count_cores({}) >= 1
    hosts = tmp_path / "hosts"
    hosts.write_text("a slots=3\n")
    assert count_cores({"SLURM_NTASKS": "5000"}, str(hosts)) == 3


def test_netac_run_is_on_this_interpreter():
    assert netac_run("a.toml", "--resume") == [sys.executable, "-m", "netac", "run", "a.toml", "--resume"]
