"""run_mpi.sh: its flags for each MPI, its errors and exit statuses; and the Slurm script."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.launching import DONE, ROOT, SCRIPT, environment

from netac.comm.launch.command import THREADS

AS_ROOT = ["--allow-run-as-root"] if os.geteuid() == 0 else []


def dry_run(run_mpi: Callable, mpirun: Path, *arguments: str | Path, **variables: str) -> list[str]:
    """The command that run_mpi.sh would run, without the launcher itself."""
    result = run_mpi("--dry-run", *arguments, mpirun=mpirun, **variables)
    assert result.returncode == 0, result.stderr
    launcher, *command = shlex.split(result.stdout)
    assert launcher == str(mpirun)
    return command


def pinned(flag: Sequence[str], joined: bool) -> list[str]:
    """The flags that set every thread count, and NETAC_MPI, to 1."""
    return [word for name in (*THREADS, "NETAC_MPI") for word in (*flag, *([f"{name}=1"] if joined else [name, "1"]))]


OPEN_MPI = pinned(["-x"], joined=True)
HYDRA = pinned(["-genv"], joined=False)


@pytest.mark.parametrize(("mpi", "flags"), [
    ("open-mpi-4", [*AS_ROOT, "--oversubscribe", "--bind-to", "none", *OPEN_MPI]),
    ("open-mpi-5", [*AS_ROOT, "--map-by", ":OVERSUBSCRIBE", "--bind-to", "none", *OPEN_MPI]),
    ("mpich", HYDRA),
    ("intel", HYDRA),
    ("unknown", []),
])
def test_more_ranks_than_cores(run_mpi, fake_mpirun, two_agents, mpi, flags):
    command = dry_run(run_mpi, fake_mpirun(mpi), "-n", "5000", two_agents, "--set", "env.features=one hot")
    python = command.index("-m") - 1
    assert command[:python] == ["-n", "5000", *flags]
    assert command[python + 1:] == ["-m", "netac", "run", str(two_agents), "--set", "env.features=one hot"]
    assert subprocess.run([command[python], "-c", "import netac"], timeout=60).returncode == 0


@pytest.mark.parametrize("mpi", ["open-mpi-4", "open-mpi-5"])
def test_ranks_that_fit_are_left_to_open_mpi_to_bind(run_mpi, fake_mpirun, two_agents, mpi):
    command = dry_run(run_mpi, fake_mpirun(mpi), "--np=1", two_agents)
    assert command[: command.index("-x")] == ["-n", "1", *AS_ROOT]


@pytest.mark.parametrize(("mpi", "flag"), [
    ("open-mpi-4", "--hostfile"), ("open-mpi-5", "--hostfile"), ("mpich", "-f"), ("intel", "-machinefile"),
    ("unknown", "-machinefile"),
])
def test_hostfile_flag(run_mpi, fake_mpirun, two_agents, tmp_path, mpi, flag):
    hosts = tmp_path / "hosts"
    hosts.write_text("a slots=8\n")
    command = dry_run(run_mpi, fake_mpirun(mpi), "-n", "8", "--hostfile", hosts, two_agents)
    assert command[command.index(flag) + 1] == str(hosts)


@pytest.mark.parametrize(("lines", "ranks", "oversubscribed"), [
    ("# two\na slots=4\n\nb slots = 4\n", 8, False),
    ("a slots=4\nb slots=4\n", 9, True),
    ("\ufeff# two\na slots=4\nb slots=4\n", 8, False),       # with a byte order mark
    ("a\nb\n", 2, True),    # unknown: allowed to, in case it is needed
])
def test_slots_of_a_hostfile_count(run_mpi, fake_mpirun, two_agents, tmp_path, lines, ranks, oversubscribed):
    hosts = tmp_path / "hosts"
    hosts.write_text(lines, encoding="utf-8")
    command = dry_run(run_mpi, fake_mpirun("open-mpi-5"), "-n", str(ranks), f"--hostfile={hosts}", two_agents)
    assert (":OVERSUBSCRIBE" in command) == oversubscribed


def test_slots_of_a_slurm_job_count(run_mpi, fake_mpirun, two_agents):
    command = dry_run(run_mpi, fake_mpirun("open-mpi-5"), "-n", "5000", two_agents, SLURM_NTASKS="5000")
    assert ":OVERSUBSCRIBE" not in command


def test_a_python_script_is_run_as_such(run_mpi, fake_mpirun, tmp_path):
    script = tmp_path / "study.py"
    script.touch()
    command = dry_run(run_mpi, fake_mpirun("mpich"), "-n", "2", script, "--fast")
    assert command[-2:] == [str(script), "--fast"]
    assert "netac" not in command


def test_the_ranks_see_what_was_pinned(run_mpi, fake_mpirun, two_agents):
    names = " ".join((*THREADS, "NETAC_MPI"))
    mpirun = fake_mpirun("unknown", f"for name in {names}; do echo $name=${{!name}}; done")
    result = run_mpi("-n", "2", two_agents, mpirun=mpirun, OMP_NUM_THREADS="7", NETAC_MPI="0")
    assert result.stdout.split() == [f"{name}=1" for name in (*THREADS, "NETAC_MPI")]


def test_pythonpath_travels(run_mpi, fake_mpirun, two_agents):
    command = dry_run(run_mpi, fake_mpirun("open-mpi-4"), "-n", "2", two_agents, PYTHONPATH="mine:yours")
    assert command[command.index("PYTHONPATH=mine:yours") - 1] == "-x"


def test_it_says_what_it_runs(run_mpi, fake_mpirun, two_agents):
    mpirun = fake_mpirun("open-mpi-5", DONE)
    result = run_mpi("-n", "5000", two_agents, "--resume", mpirun=mpirun)
    assert result.returncode == 0
    said, = result.stderr.splitlines()
    assert said.startswith("run_mpi.sh: Open MPI 5.0.11, 5000 processes on ")
    command = shlex.split(said.split(": ", 2)[2])
    assert [*command[:3], *command[-4:]] == [str(mpirun), "-n", "5000", "netac", "run", str(two_agents), "--resume"]


def test_verbose_is_passed_on(run_mpi, fake_mpirun, two_agents):
    assert dry_run(run_mpi, fake_mpirun("mpich"), "-n", "2", "--verbose", two_agents)[-1] == "--verbose"


@pytest.mark.parametrize("status", [0, 1, 2, 77])
def test_the_exit_status_is_passed_on(run_mpi, fake_mpirun, two_agents, status):
    mpirun = fake_mpirun("open-mpi-5", f"{DONE}; exit {status}")
    assert run_mpi("-n", "2", two_agents, mpirun=mpirun).returncode == status


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "give -n N"),
    (["FILE"], "give -n N"),
    (["-n"], "-n needs a value"),
    (["-n", "0", "FILE"], "-n: must be a whole number from 1 to 9999999 (found '0')"),
    (["-n", "-3", "FILE"], "found '-3'"),
    (["-n", "two", "FILE"], "found 'two'"),
    (["-n", "2"], "no experiment file given"),
    (["-n", "2", "nowhere.toml"], "no such experiment file: nowhere.toml"),
    (["-n", "2", "--hostfile", "nowhere", "FILE"], "--hostfile: no such file: nowhere"),
    (["-n", "2", "--resume", "FILE"], "unknown option --resume; options of `netac run` go after the experiment file"),
])
def test_bad_command_lines(run_mpi, fake_mpirun, two_agents, arguments, message):
    words = [two_agents if word == "FILE" else word for word in arguments]
    result = run_mpi(*words, mpirun=fake_mpirun("mpich", "echo launched"))
    assert (result.returncode, result.stdout) == (2, "")
    said, = result.stderr.splitlines()
    assert said.startswith("run_mpi.sh: ") and message in said


def test_help_needs_nothing(run_mpi):
    result = run_mpi("--help")
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: run_mpi.sh -n N")


@pytest.fixture
def bare(tmp_path: Path) -> Callable[..., Path]:
    """`bare(*programs)`: a copy of run_mpi.sh without a .venv, and a `bin/` of the tools it needs and `programs`."""
    def make(*programs: Path) -> Path:
        folder = tmp_path / "bare"
        (folder / "bin").mkdir(parents=True)
        tools = (shutil.which(name) for name in ("bash", "env", "dirname", "cat"))
        for program in (*map(Path, filter(None, tools)), *programs):
            (folder / "bin" / program.name).symlink_to(program)
        shutil.copy(SCRIPT, folder)
        return folder

    return make


def test_no_mpi_says_how_to_install_one(bare, two_agents):
    folder = bare()
    result = subprocess.run([folder / "run_mpi.sh", "-n", "2", two_agents], text=True, capture_output=True, timeout=60,
                            env={"PATH": str(folder / "bin")})
    assert result.returncode == 2
    assert "no MPI found" in result.stderr and 'pip install "netac[mpi]"' in result.stderr


def test_an_mpirun_that_is_not_there(run_mpi, two_agents, tmp_path):
    result = run_mpi("-n", "2", two_agents, mpirun=tmp_path / "gone" / "mpirun")
    assert result.returncode == 2
    assert "MPIRUN: cannot run" in result.stderr


def test_a_python_without_netac_is_named(bare, fake_mpirun, two_agents, tmp_path):
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S \"$@\"\n")
    python.chmod(0o755)
    folder = bare(python)
    result = subprocess.run([folder / "run_mpi.sh", "-n", "2", two_agents], text=True, capture_output=True, timeout=60,
                            env={"PATH": str(folder / "bin"), "MPIRUN": str(fake_mpirun("open-mpi-5"))})
    assert result.returncode == 2
    assert "python3 lacks: netac numpy mpi4py" in result.stderr


@pytest.mark.parametrize(("restarts", "resumes"), [("0", False), ("1", True)])
def test_the_slurm_script_resumes_after_a_requeue(two_agents, tmp_path, restarts, resumes):
    srun = tmp_path / "srun"
    srun.write_text("#!/usr/bin/env bash\nprintf '%s\\n' \"$OMP_NUM_THREADS\" \"$@\"\nexit 3\n")
    srun.chmod(0o755)
    variables = environment(SLURM_JOB_ID="12", SLURM_RESTART_COUNT=restarts, SLURM_SUBMIT_DIR=str(tmp_path))
    variables["PATH"] = f"{tmp_path}:{variables['PATH']}"
    result = subprocess.run([ROOT / "examples" / "slurm.sh", two_agents, "--set", "agents=8"], env=variables, text=True,
                            capture_output=True, timeout=60)
    assert result.returncode == 3
    threads, *command = result.stdout.splitlines()
    assert threads == "1"
    assert command[command.index("run") + 1] == str(two_agents)
    assert command[command.index("--out") + 1] == "runs/slurm-12"
    assert ("--resume" in command) == resumes
