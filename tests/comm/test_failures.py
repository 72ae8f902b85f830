"""Failures while running: one message that names agent, iteration and cause, the launch ended, nothing good lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.launching import ROOT, environment

from netac.comm import checkpoints
from netac.comm.launch.notices import MARK

pytestmark = pytest.mark.alone

PROGRAMS = Path(__file__).parents[1] / "programs"
HERE = socket.gethostname()
FAULT = 'env={{factory="faulty:make",kwargs={{how="{}",agent=3,iteration=17}}}}'
EXPERIMENT = """\
agents = 5
iterations = 20000
env = "coordination"
topology = "ring"
algorithm = "cac"
log_every = 5
checkpoint_every = 10
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "game.toml"
    path.write_text(EXPERIMENT)
    return path


def messages(error_output: str) -> list[str]:
    """What netac said of errors; a traceback counts as a failed test."""
    assert "Traceback" not in error_output, error_output
    assert "Warning" not in error_output, error_output
    return [line for line in error_output.splitlines() if line.startswith("netac: error: ")]


@pytest.fixture
def netac(file: Path, mpi_start: Callable) -> Callable:
    """`netac(processes, *arguments, **variables)`: `netac run` of the file; its status, its message, and the folder.

    Exactly one message is allowed; after it the launch must end within five seconds.
    """
    def run(processes: int, *arguments: str, program: tuple = ("-m", "netac"), **variables: str) -> tuple[int, str]:
        command = [sys.executable, *map(str, program), "run", str(file), *map(str, arguments)]
        variables = {"PYTHONPATH": str(PROGRAMS), "PYTHONUNBUFFERED": "1"} | variables
        if processes == 1:
            done = subprocess.run(command, env=environment(**variables), capture_output=True, text=True, timeout=60)
            status, told = done.returncode, done.stderr
        else:
            process = mpi_start(processes, command, env=variables)
            told = ""
            while (line := process.stderr.readline()) and not line.startswith("netac: error: "):
                told += line
            began = time.monotonic()
            told += line + process.communicate(timeout=60)[1]
            assert time.monotonic() - began < 5, "the launch must end within five seconds"
            status = process.returncode
        assert len(messages(told)) == 1, told
        message, = messages(told)
        return status, message.removeprefix("netac: error: ")

    return run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.mark.parametrize(("processes", "algorithm"), [(1, "cac"), (1, "dac"), (1, "mdac"), (5, "cac"), (5, "mdac")])
def test_a_reward_that_is_not_a_number(netac, out, processes, algorithm):
    status, message = netac(processes, "--out", out, "--set", FAULT.format("nan"), "--set", f"algorithm={algorithm}")
    assert (status, message) == (1, "agent 3, iteration 17: the environment's reward is nan")
    assert checkpoints.newest(out / "checkpoints")["progress"][0] == 10


def test_an_infinite_reward_among_several_agents_of_a_process(netac, out):
    status, message = netac(2, "--out", out, "--set", FAULT.format("inf"))
    assert (status, message) == (1, "agent 3, iteration 17: the environment's reward is inf")


@pytest.mark.parametrize(("processes", "who"), [(1, ""), (2, "agents 3-4, "), (5, "agent 3, ")])
def test_an_environment_that_raises(netac, out, processes, who):
    status, message = netac(processes, "--out", out, "--set", FAULT.format("raise"))
    assert status == 1
    assert message.startswith(f"{who}iteration 17: ValueError: the sensor is broken (")
    assert "programs/faulty.py, line " in message and message.endswith("--traceback shows the whole")
    assert checkpoints.newest(out / "checkpoints")["progress"][0] == 10


def test_an_environment_that_exits(netac, out):
    status, message = netac(3, "--out", out, "--set", FAULT.format("exit"))
    assert status == 1 and message.startswith("agents 2-3, iteration 17: SystemExit: 0 (")


@pytest.mark.parametrize("processes", [1, 3])
def test_an_environment_that_raises_what_is_no_exception(netac, out, processes):
    status, message = netac(processes, "--out", out, "--set",
                            'env={factory="stalling:make",kwargs={how="cancel",rank=0}}')
    assert status == 1 and "iteration 40: CancelledError: not now (" in message and "programs/stalling.py" in message


@pytest.mark.parametrize("reached", [(1,), (0, 1, 2)])
def test_an_interrupt_of_any_process_ends_the_launch(file, out, mpi_start, tmp_path, reached):
    process = mpi_start(3, [sys.executable, "-m", "netac", "run", file, "--out", out, "--set", "iterations=10000000"],
                        env={MARK: "m"})
    until = time.monotonic() + 60
    while not list(out.glob("checkpoints/*.npz")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    pids = [int(process.stderr.readline().split()[5]) for _ in range(3)]
    for rank in reached:
        os.kill(pids[rank], signal.SIGINT)
    told = process.communicate(timeout=15)[1]
    assert process.returncode == 130 and "Traceback" not in told, told
    assert told.count("netac: interrupted; netac run goes on with --resume") == 1, told


TOPOLOGIES = {
    "raises": ("raise ValueError('no radio')",
               "iteration 150: topology {path}: graph(t=150) raised ValueError: no radio ({path}, line 7, in graph); "
               "--traceback shows the whole"),
    "no-graph": ("return 7", "iteration 150: topology {path}: graph(t=150) returned int, not a networkx graph"),
    "differs": ("return nx.path_graph(n) if os.environ.get('PMIX_RANK') == '1' else nx.star_graph(n - 1)",
                "agents 2-3, iteration 150: topology {path}: graph(t=150) or its weights are not the same in every "
                "process: it must be a function of t and n alone, random numbers seeded with t"),
}


@pytest.mark.parametrize(("processes", "what"), [(1, "raises"), (1, "no-graph"), (3, "raises"), (3, "differs")])
def test_a_topology_that_fails_later(netac, out, tmp_path, processes, what):
    line, says = TOPOLOGIES[what]
    path = tmp_path / "late.py"
    path.write_text(f"import os\nimport networkx as nx\n\n\ndef graph(t, n):\n    if t == 150:\n        {line}\n"
                    "    return nx.cycle_graph(n)\n")
    status, message = netac(processes, "--out", out, "--set", f"topology={path}")
    assert status == 1
    assert message.removeprefix("agents 0-1, ").endswith(says.format(path=path))
    assert processes == 1 or message.startswith("agent")
    assert checkpoints.newest(out / "checkpoints")["progress"][0] == 150


@pytest.mark.parametrize(("processes", "options", "quantity"), [
    (1, "algorithm={name='cac',critic_step=1e6}", "omega (value weights)"),
    (5, "algorithm={name='cac',reward_step=1e6}", "lambda (reward model)"),
    (1, "algorithm={name='mdac',critic_step=1e6}", "omega (value weights)"),
    (1, "algorithm={name='dac',setting='average',critic_step=1e6}", ""),
])
def test_parameters_that_blow_up(netac, out, processes, options, quantity):
    status, message = netac(processes, "--out", out, "--set", options, "--set", "checkpoint_every=2")
    assert status == 1
    assert message.startswith("agent ") and ", iteration " in message and f": {quantity}" in message
    assert " became " in message and "smaller step sizes or a projection may help" in message
    newest = checkpoints.newest(out / "checkpoints")
    iteration = int(message.partition("iteration ")[2].partition(":")[0])
    assert iteration - 2 <= newest["progress"][0] <= iteration
    assert all(abs(newest["parameters"]).ravel() < float("inf"))


def test_parameters_that_blow_up_everywhere_at_once_are_told_once(netac, out):
    status, message = netac(5, "--out", out, "--set", "algorithm={name='cac',critic_step=1e6}", "--set",
                            "topology=complete")
    assert status == 1 and "omega (value weights) became" in message


@pytest.mark.parametrize("processes", [1, 3])
def test_a_disk_that_fills_up(netac, out, processes):
    status, message = netac(processes, "--out", out, "--set", "iterations=2000",
                            program=(PROGRAMS / "limited.py", "20000"))
    assert status == 1
    assert "iteration " in message and "cannot write" in message and message.endswith("the file is too large")
    for line in (out / "metrics.csv").read_text().splitlines()[1:]:
        assert line.count(",") == 11                         # no torn line
    assert checkpoints.newest(out / "checkpoints")["progress"][0] > 0
    assert not [path for path in out.rglob(".*") if path.name.endswith(".netac-tmp")]
    done = subprocess.run([sys.executable, "-m", "netac", "run", str(out / "experiment.toml"), "--out", str(out),
                           "--resume"],
                          env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_disk_too_full_for_a_checkpoint(netac, out):
    status, message = netac(1, "--out", out, program=(PROGRAMS / "limited.py", "2000"))
    assert status == 1 and "checkpoints" in message and "the file is too large" in message
    assert checkpoints.newest(out / "checkpoints") is None
    assert not list((out / "checkpoints").iterdir())


@pytest.mark.parametrize("processes", [1, 3])
def test_a_file_where_the_folder_should_be(netac, out, processes):
    out.write_text("mine")
    status, message = netac(processes, "--out", out)
    assert status == 2 and str(out) in message and "a file stands where a folder is needed" in message
    assert out.read_text() == "mine"


def test_a_folder_that_takes_no_files(netac):
    status, message = netac(3, "--out", "/proc/netac")
    assert status == 2 and message.startswith("/proc/netac: cannot create this folder: ")


def test_more_processes_than_agents(netac, out):
    status, message = netac(8, "--out", out)
    assert status == 2
    assert "a launch of 8 processes needs at least as many agents" in message and "found 5" in message
    assert not out.exists()


def test_bad_input_under_mpirun_is_told_once(netac, out):
    status, message = netac(3, "--out", out, "--set", "algoritm.name=dac")
    assert status == 2 and "did you mean 'algorithm'" in message and not out.exists()


def test_an_mpi_launch_without_mpi4py(netac, out, tmp_path):
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").write_text("raise ImportError('no MPI library found')")
    status, message = netac(3, "--out", out, PYTHONPATH=str(tmp_path))
    assert status == 2
    assert message.startswith(f"this is an MPI launch, but mpi4py cannot be used on {HERE}: no MPI library found")
    assert "NETAC_MPI=0" in message and not out.exists()


def test_one_process_alone_without_mpi4py(netac, out, tmp_path):
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").write_text(textwrap.dedent("""\
        import sys
        from pathlib import Path
        from netac.comm.launch import is_follower
        if is_follower():
            raise ImportError("no MPI library found")
        sys.path.remove(str(Path(__file__).parents[1]))
        del sys.modules["mpi4py"]
        import mpi4py
        """))
    status, message = netac(2, "--out", out, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    assert status == 2
    assert message.startswith(f"this is an MPI launch, but mpi4py cannot be used on {HERE}: no MPI library found")


@pytest.mark.parametrize("processes", [1, 3])
def test_netac_mpi_must_be_0_or_1(netac, out, processes):
    status, message = netac(processes, "--out", out, NETAC_MPI="yes")
    assert status == 2 and message == "NETAC_MPI: cannot be understood (found 'yes'; valid: 0 or 1)"


def test_single_runs_by_accident(file, out, mpirun):
    done = mpirun(3, [sys.executable, "-m", "netac", "run", file, "--out", out, "--set", "iterations=3000"],
                  env={"NETAC_MPI": "0"})
    told = messages(done.stderr)
    assert done.returncode == 2 and 1 <= len(told) <= 2
    for message in told:
        assert "another netac run is writing into this folder" in message or "this folder holds a run" in message


def test_a_second_run_into_the_same_folder(file, out):
    command = [sys.executable, "-m", "netac", "run", str(file), "--out", str(out), "--set", "iterations=1000000"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE) as first:
        while not list(out.glob("checkpoints/*.npz")):
            time.sleep(0.01)
        second = subprocess.run([*command, "--resume"], env=environment(), capture_output=True, text=True, timeout=60)
        first.kill()
    message, = messages(second.stderr)
    assert second.returncode == 2
    assert "another netac run is writing into this folder" in message and f"process {first.pid}" in message
    assert "NETAC_MPI=1" in message
