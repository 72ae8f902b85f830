"""Several hosts, made of network namespaces: one result, and a lost host or process ends the launch with one line."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import hosts
from support.launching import ROOT, SCRIPT, environment
from support.variants import fingerprint

import netac
from netac.comm.launch.family import Mpi

pytestmark = [pytest.mark.alone, pytest.mark.skipif(not hosts.possible(), reason="only root can make hosts"),
              pytest.mark.skipif(" " in sys.prefix, reason="the path of the MPI has a space")]

EXPERIMENT = """\
agents = 6
iterations = 120
env = "coordination"
topology = "ring"
algorithm = "cac"
log_every = 10
checkpoint_every = 10
"""


@pytest.fixture
def three(tmp_path: Path, mpi: Mpi) -> Iterator[tuple[dict[str, hosts.Host], Path]]:
    """Three hosts of two slots each, and the ssh between them; process 0 is on the last, the launcher on the first."""
    if "Open MPI" not in mpi.title:
        pytest.skip("the stand-in for ssh is Open MPI's")
    (tmp_path / "hosts").write_text("gamma slots=2\nbeta slots=2\nalpha slots=2\n")
    (tmp_path / "net").mkdir()
    with hosts.cluster(tmp_path / "net", ["alpha", "beta", "gamma"]) as made:
        yield made


@pytest.fixture
def start(three, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """`start(*arguments)`: six agents on the three hosts, from the first of them."""
    found, ssh = three
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    variables = environment(PYTHONPATH=str(ROOT), PRTE_MCA_plm_ssh_agent=str(ssh), OMPI_MCA_plm_rsh_agent=str(ssh))

    def launch(*arguments: str) -> subprocess.Popen[str]:
        command = [SCRIPT, "-n", 6, "--hostfile", tmp_path / "hosts", tmp_path / "e.toml", "--out", tmp_path / "run",
                   *arguments]
        return subprocess.Popen(found["alpha"].command(*command), env=variables, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return launch


def wait_for_a_checkpoint(process: subprocess.Popen[str], run: Path) -> None:
    deadline = time.monotonic() + 60
    while not list(run.glob("checkpoints/*.npz")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def ended(process: subprocess.Popen[str], within: float) -> tuple[int, str]:
    """Status and last line of a launch that has to end."""
    began = time.monotonic()
    told = process.communicate(timeout=60)[1]
    assert time.monotonic() - began < within
    return process.returncode, told.splitlines()[-1]


def test_a_lost_host_ends_the_launch_which_goes_on_to_the_result_of_one_process(three, start, tmp_path):
    found, _ = three
    process = start()
    wait_for_a_checkpoint(process, tmp_path / "run")
    found["beta"].unplug()
    status, last = ended(process, 30)
    assert status == 1
    told, resume = last.split("; resume with: ")
    assert told == "run_mpi.sh: the connection to beta, which has rank 2 (agents 2), rank 3 (agents 3), was lost"
    assert shlex.split(resume)[0] == str(SCRIPT) and shlex.split(resume)[-1] == "--resume"
    deadline = time.monotonic() + 20
    while any("netac run" in line for host in found.values() for line in host.processes().values()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found["beta"].plug()
    process = start("--resume")
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 0, told
    assert fingerprint(netac.load_result(tmp_path / "run")) == fingerprint(netac.run(tmp_path / "e.toml"))


def test_a_process_killed_on_another_host_is_named(start, tmp_path):
    process = start("--set", "iterations=10000000", "--verbose")
    pids = {}
    while len(pids) < 6:
        words = process.stderr.readline().split()
        if words[:2] == ["netac:", "rank"]:
            pids[int(words[2])] = int(words[4])
    wait_for_a_checkpoint(process, tmp_path / "run")
    os.kill(pids[1], signal.SIGKILL)
    status, last = ended(process, 10)
    assert status == 128 + signal.SIGKILL
    assert last.startswith("run_mpi.sh: rank 1 (agents 1) was killed by signal 9; resume with: ")
