"""The launcher as a program: what it needs, what it says where netac is missing, and signals that are not for it."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.launching import DONE, ROOT, SCRIPT, environment


def test_it_imports_no_more_than_it_needs():
    code = ("import sys, netac.comm.launch.launcher\n"
            "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)\n"
            "print(*(name for name in sys.modules if name.startswith('netac')))")
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    others, ours = done.stdout.splitlines()
    assert set(others.split()) == {"netac", "__main__"} - sys.stdlib_module_names, done.stderr
    outside = {name for name in ours.split() if not name.startswith("netac.comm")}
    assert outside == {"netac", "netac.utils", "netac.utils.errors"}


def test_python_m_does_the_same(fake_mpirun, two_agents):
    mpirun = fake_mpirun("mpich", "echo netac: error: it >&2\necho 'Abort(1) on node 0 (rank 0 in comm 0): ...' >&2\n"
                         "kill -9 $$")
    commands = [[str(SCRIPT)], [sys.executable, "-m", "netac.comm.launch"]]
    said = [subprocess.run([*command, "-n", "2", two_agents], env=environment(mpirun), cwd=ROOT, capture_output=True,
                           text=True, timeout=60) for command in commands]
    assert said[0].returncode == said[1].returncode == 128 + signal.SIGKILL
    expected = ["netac: error: it", "run_mpi.sh: rank 0 ended the launch"]
    assert said[0].stderr.splitlines()[1:] == said[1].stderr.splitlines()[1:] == expected


@pytest.fixture
def without_netac(tmp_path: Path) -> dict[str, str]:
    """An environment whose only Python has no packages, and which has no MPI."""
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -S \"$@\"\n")
    python.chmod(0o755)
    for name in ("bash", "env", "dirname"):
        (python.parent / name).symlink_to(shutil.which(name))
    return {"PATH": str(python.parent)}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without a .venv: run_mpi.sh with netac beside it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(SCRIPT, folder)
    (folder / "netac").symlink_to(ROOT / "netac")
    return folder


@pytest.mark.parametrize(("arguments", "status", "says"), [
    (["--help"], 0, "Usage: run_mpi.sh -n N"),
    (["-n", "0", "FILE"], 2, "run_mpi.sh: -n: must be a whole number from 1 to 9999999 (found '0')"),
    (["-n", "2", "FILE"], 2, "run_mpi.sh: no MPI found"),
])
def test_in_a_new_checkout_the_command_line_comes_first(checkout, without_netac, two_agents, arguments, status, says):
    words = [str(two_agents) if word == "FILE" else word for word in arguments]
    done = subprocess.run([checkout / "run_mpi.sh", *words], env=without_netac, cwd=two_agents.parent,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert (done.stderr or done.stdout).startswith(says)


def test_in_a_new_checkout_what_is_missing_is_named(checkout, without_netac, fake_mpirun, two_agents):
    variables = without_netac | {"MPIRUN": str(fake_mpirun("mpich"))}
    done = subprocess.run([checkout / "run_mpi.sh", "-n", "2", two_agents], env=variables, cwd=two_agents.parent,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    python = shutil.which("python3", path=without_netac["PATH"])
    assert done.stderr == (f"run_mpi.sh: {python} lacks: netac numpy mpi4py; run `make venv` here, or: "
                           'pip install "netac[mpi]"\n')


def test_without_any_python(checkout, without_netac, fake_mpirun, two_agents):
    (Path(without_netac["PATH"]) / "python3").unlink()
    variables = without_netac | {"MPIRUN": str(fake_mpirun("mpich"))}
    done = subprocess.run([checkout / "run_mpi.sh", "-n", "2", two_agents], env=variables, capture_output=True,
                          text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "run_mpi.sh: no python3 on PATH\n")


def test_the_python_of_the_environment_is_used_though_another_lies_beside_mpirun(run_mpi, fake_mpirun, two_agents):
    mpirun = fake_mpirun("mpich")
    (mpirun.parent / "python3").symlink_to("/bin/false")
    command = shlex.split(run_mpi("--dry-run", "-n", "2", two_agents, mpirun=mpirun).stdout)
    assert Path(command[command.index("-m") - 1]).parent == Path(sys.executable).parent


def test_the_launch_survives_the_end_of_a_terminal_under_nohup(fake_mpirun, two_agents):
    mpirun = fake_mpirun("open-mpi-5", "echo started; sleep 0.5; echo ended; " + DONE)
    command = ["nohup", str(SCRIPT), "-n", "2", str(two_agents)]
    with subprocess.Popen(command, env=environment(mpirun), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGHUP)
        assert process.stdout.read() == "ended\n"
    assert process.returncode == 0


def test_nobody_reads_standard_output_any_more(fake_mpirun, two_agents):
    mpirun = fake_mpirun("mpich", "while echo rewards; do :; done; exit 7")
    with subprocess.Popen([SCRIPT, "-n", "2", two_agents], env=environment(mpirun), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        began = time.monotonic()
        assert process.wait(30) not in (0, 2)
        assert time.monotonic() - began < 10
        assert b"Traceback" not in process.stderr.read()


DEADLY = """\
import os, signal
from netac.comm.launch import is_follower
from netac.envs.coordination import CoordinationGame

class Deadly(CoordinationGame):
    calls = 0

    def rewards(self, *arguments):
        self.calls += 1
        if self.calls == 10 and is_follower():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rewards(*arguments)
"""


def test_a_comparison_says_whose_process_was_killed(mpi, two_agents, tmp_path):
    (tmp_path / "deadly.py").write_text(DEADLY)
    command = [sys.executable, "-m", "netac", "compare", two_agents, "--algorithms", "cac", "--seeds", "1",
               "--processes", "2", "--set", "iterations=50", "--set", "env={factory='deadly:Deadly'}", "--out", "out"]
    done = subprocess.run(command, env=environment(PYTHONPATH=f"{tmp_path}:{ROOT}"), cwd=tmp_path, capture_output=True,
                          text=True, timeout=100)
    assert done.returncode == 1
    if "Open MPI" in mpi.title:
        assert "cac, seed 0 failed: rank 1 (agents 1) was killed by signal 9\n" in done.stderr
    assert "was killed by signal 9" in done.stderr


def test_a_comparison_with_an_mpirun_that_is_not_there(two_agents, tmp_path):
    command = [sys.executable, "-m", "netac", "compare", two_agents, "--algorithms", "cac", "--seeds", "1",
               "--processes", "2", "--out", tmp_path / "out"]
    done = subprocess.run(command, env=environment(tmp_path / "gone"), capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (2, f"netac: error: MPIRUN: cannot run {tmp_path / 'gone'}\n")
