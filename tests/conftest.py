"""Fixtures that launch programs under whatever MPI there is: one thread per process, and nothing left over."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import hypothesis
import pytest
from support.launching import ROOT, SCRIPT, environment

from netac.comm.launch.command import command
from netac.comm.launch.family import Mpi, own_mpi

Start = Callable[..., "subprocess.Popen[str]"]
Launch = Callable[..., "subprocess.CompletedProcess[str]"]

VERSIONS = {
    "open-mpi-4": "mpirun (Open MPI) 4.1.6\n\nReport bugs to http://www.open-mpi.org/community/help/",
    "open-mpi-5": "mpirun (Open MPI) 5.0.11\n\nReport bugs to https://www.open-mpi.org/community/help/",
    "mpich": "HYDRA build details:\n    Version:                                 4.3.2",
    "intel": "Intel(R) MPI Library for Linux* OS, Version 2021.18 Build 20260626 (id: b44796a)",
    "unknown": "some launcher, version 1",
}


def pytest_configure(config: pytest.Config) -> None:
    """Lets interrupts through to what tests start, which a shell's background job (`.ci/run &`) ignores otherwise,
    keeps the key that seals run folders out of the user's home, and has no example of a property fail by its time."""
    hypothesis.settings.register_profile("netac", parent=hypothesis.settings(), deadline=None,
                                         suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.load_profile("netac")
    state = tempfile.TemporaryDirectory(prefix="netac-state.")
    config.add_cleanup(state.cleanup)
    os.environ["XDG_STATE_HOME"] = state.name
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mpi() -> Mpi:
    """The MPI of this environment.  Without any, or without mpi4py, the test is skipped; where CI=true it fails."""
    found = own_mpi()
    if found is None:
        _without("no mpirun")
    elif subprocess.run([sys.executable, "-c", "from mpi4py import MPI"], capture_output=True, timeout=60).returncode:
        _without("no working mpi4py")
    return found


def _without(what: str) -> None:
    """Ends the test for want of an MPI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f'{what}: install netac with pip install ".[mpi,test]"')
    pytest.skip(f"{what} here")


@pytest.fixture
def mpi_start(mpi: Mpi) -> Iterator[Start]:
    """Starts a program under MPI and returns at once; what still runs when the test ends is stopped.

    Call it as `mpi_start(nprocs, argv, env=None, cwd=None)`: `argv` is the program and its arguments, such as
    `[sys.executable, "-m", "netac", "run", ...]`, `env` is added to this process's environment, and tests/ is on the
    program's path, as it is on pytest's.  Both outputs of the `Popen` are text pipes.
    """
    started: list[subprocess.Popen[str]] = []

    def start(nprocs: int, argv: Sequence[str | Path], env: Mapping[str, str] | None = None,
              cwd: str | Path | None = None) -> subprocess.Popen[str]:
        env = dict(env or {})
        path = env.get("PYTHONPATH", os.environ.get("PYTHONPATH"))
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [path, str(ROOT / "tests")]))
        words, variables = command(mpi, nprocs, [*map(str, argv)], variables=env)
        process = subprocess.Popen(words, env=variables, cwd=cwd, text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        _stop(process)
        process.stdout.close()
        process.stderr.close()


@pytest.fixture
def mpirun(mpi_start: Start) -> Launch:
    """Runs a program under MPI to its end: `mpirun(nprocs, argv, timeout=120, env=None, cwd=None)`.

    The arguments are those of `mpi_start`; a launch that takes longer than `timeout` seconds is stopped and the test
    fails with what it had written.
    """
    def launch(nprocs: int, argv: Sequence[str | Path], timeout: float = 120, env: Mapping[str, str] | None = None,
               cwd: str | Path | None = None) -> subprocess.CompletedProcess[str]:
        process = mpi_start(nprocs, argv, env, cwd)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _stop(process)
            out, err = process.communicate()
            pytest.fail(f"{nprocs} processes did not end within {timeout} s\n{out[-2000:]}\n{err[-2000:]}")
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return launch


def _stop(process: subprocess.Popen[str], grace: float = 5) -> None:
    """Ends a launch and all it started: TERM for the launcher to end its ranks, KILL after `grace` seconds."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def run_mpi() -> Launch:
    """`run_mpi(*arguments, mpirun=None, **variables)`: runs run_mpi.sh with this interpreter's environment active."""
    def launch(*arguments: str | Path, mpirun: Path | None = None,
               **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([SCRIPT, *map(str, arguments)], env=environment(mpirun, **variables), text=True,
                              capture_output=True, timeout=120, stdin=subprocess.DEVNULL)

    return launch


@pytest.fixture
def fake_mpirun(tmp_path: Path) -> Callable[..., Path]:
    """`fake_mpirun(mpi, body)`: an mpirun that tells the version of `mpi` and otherwise runs the bash lines `body`."""
    def make(mpi: str, body: str = "exit 0") -> Path:
        path = tmp_path / "mpi" / "mpirun"
        path.parent.mkdir()
        version = f'if [ "$1" = --version ]; then echo {shlex.quote(VERSIONS[mpi])}; exit; fi'
        path.write_text(f"#!/usr/bin/env bash\n{version}\n{body}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def two_agents(tmp_path: Path) -> Path:
    """An experiment file: five iterations of the coordination game of two agents."""
    path = tmp_path / "two agents.toml"
    path.write_text(textwrap.dedent("""\
        agents = 2
        iterations = 5
        seed = 0
        env = { name = "coordination" }
        topology = { name = "complete", weights = "metropolis" }
        [algorithm]
        name = "cac"
        """))
    return path
