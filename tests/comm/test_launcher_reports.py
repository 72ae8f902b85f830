"""run_mpi.sh while it runs: what it says of dead ranks, progress lines, signals; real launches."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.launching import SCRIPT, environment

from netac.comm.launch.family import Mpi

pytestmark = pytest.mark.alone

RULE = "-" * 74
PLACEMENT = """\
printf '\\x1e%s netac: rank %s host h agents %s\\n' "$NETAC_LAUNCH_MARK" '0 pid 100' 0-2 \\
    "$NETAC_LAUNCH_MARK" '1 pid 101' 3-4 >&2
"""
SAID = "netac: error: agent 3, iteration 17: the reward is nan"
KILLED_4 = "mpirun noticed that process rank 1 with PID 0 on node h exited on signal 9 (Killed)."
KILLED_5 = "prterun noticed that process rank 1 with PID 101 on node h exited on\nsignal 9 (Killed)."
ABORT_4 = "MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD\nwith errorcode 1.\n\nNOTE: ..."
ABORT_5 = "MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD\n  Proc: [[31445,1],1]\n  Errorcode: 1"
STATUS_4 = ("mpirun detected that one or more processes exited with non-zero status, thus causing\n"
            "the job to be terminated. The first process to do so was:\n\n"
            "  Process name: [[12345,1],1]\n  Exit code:    STATUS")
STATUS_5 = ("prterun detected that one or more processes exited with non-zero status,\n"
            "thus causing the job to be terminated. The first process to do so was:\n\n"
            "   Process name: [prterun-h-4161@1,1]\n   Exit code:    STATUS")

LEFT_5 = "prterun has exited due to process rank 1 with PID 101 on node h exiting\nimproperly. There are ..."
LOST_5 = ("PRTE has lost communication with a remote daemon.\n\n  HNP daemon   : [prterun-a-1@0,0] on node a\n"
          "  Remote daemon: [prterun-a-1@0,1] on node h\n\nThis is usually due to ...")
PEER_5 = ("An MPI communication peer process has unexpectedly disconnected.  This\nusually indicates ...\n"
          "  Local host: a\n  Local PID:  7\n  Peer host:  h")


def banner(*texts: str) -> str:
    """Bash lines with which a fake mpirun reports a dead rank on standard error, between rules."""
    block = "\n".join(f"{RULE}\n{text}\n{RULE}" for text in texts)
    return f"cat >&2 <<'END'\n{block}\nEND\n"


@pytest.fixture
def launch(run_mpi: Callable, fake_mpirun: Callable, two_agents: Path) -> Callable:
    """`launch(mpi, body, *arguments)`: run_mpi.sh on two processes of a fake mpirun that runs the bash lines `body`."""
    return lambda mpi, body, *arguments: run_mpi("-n", "2", two_agents, *arguments, mpirun=fake_mpirun(mpi, body))


def said_after(result: subprocess.CompletedProcess[str]) -> list[str]:
    """What stands on standard error below the command."""
    return result.stderr.splitlines()[1:]


@pytest.mark.parametrize(("mpi", "text"), [("open-mpi-4", KILLED_4), ("open-mpi-5", KILLED_5)])
def test_a_killed_rank_is_told_as_agents(launch, two_agents, mpi, text):
    result = launch(mpi, f"{PLACEMENT}{banner(text)}exit 137", "--out", "a b")
    assert result.returncode == 137
    said, = said_after(result)
    told, resume = said.split("; resume with: ")
    assert told == "run_mpi.sh: rank 1 (agents 3-4) was killed by signal 9"
    assert shlex.split(resume) == [str(SCRIPT), "-n", "2", str(two_agents), "--out", "a b", "--resume"]


def test_resume_is_not_asked_for_twice(launch):
    result = launch("open-mpi-5", f"{banner(KILLED_5)}exit 137", "--resume")
    assert said_after(result)[-1].count("--resume") == 1


def test_without_a_placement_the_rank_is_named(launch):
    result = launch("open-mpi-5", f"{banner(KILLED_5)}exit 137")
    assert "run_mpi.sh: rank 1 was killed by signal 9" in result.stderr


@pytest.mark.parametrize(("mpi", "text", "status", "expected"), [
    ("open-mpi-4", ABORT_4, 1, ["run_mpi.sh: rank 1 (agents 3-4) ended the launch"]),
    ("open-mpi-5", ABORT_5, 1, ["run_mpi.sh: rank 1 (agents 3-4) ended the launch"]),
    ("open-mpi-4", STATUS_4, 1, []), ("open-mpi-5", STATUS_5, 1, []), ("open-mpi-5", STATUS_5, 2, []),
    ("mpich", "another block", 1, [RULE, "another block", RULE]),
])
def test_banners_become_one_line(launch, mpi, text, status, expected):
    report = banner(text.replace("STATUS", str(status)))
    result = launch(mpi, f"{PLACEMENT}echo '{SAID}' >&2\n{report}exit {status}")
    assert result.returncode == status
    assert said_after(result) == [SAID, *expected]


@pytest.mark.parametrize(("body", "status", "expected"), [
    (banner(ABORT_5) + "exit 1", 1, "rank 1 (agents 3-4) ended the launch"),
    (banner(STATUS_5.replace("STATUS", "3")) + "exit 3", 3, "rank 1 (agents 3-4) ended with status 3"),
    (banner(LEFT_5) + "exit 1", 1, "rank 1 (agents 3-4) ended before the run did"),
    (banner(LOST_5) + "exit 0", 1, "the connection to h, which has rank 0 (agents 0-2), rank 1 (agents 3-4), was lost"),
    (banner(PEER_5) + "exit 14", 14, "a process on h ended: rank 0 (agents 0-2), rank 1 (agents 3-4)"),
    ("echo '[h:00000] *** An error occurred in Socket closed' >&2; exit 1", 1,
     "the launcher ended with status 1 before the run was finished"),
    ("exit 0", 1, "process 0 ended before the run was finished, and Open MPI 5.0.11 does not say why"),
    ("kill -9 $$", 137, "the launcher was killed by signal 9"),
])
def test_what_netac_has_not_said_is_told_in_one_line_with_the_way_on(launch, body, status, expected):
    result = launch("open-mpi-5", PLACEMENT + body)
    assert result.returncode == status
    said, = said_after(result)
    assert said.startswith(f"run_mpi.sh: {expected}; resume with: ") and said.endswith(" --resume")


def test_two_banners_of_one_abort_become_one_line(launch):
    second = 'prterun has exited due to process rank 1 with PID 0 on node h calling\n"abort". This may have caused ...'
    result = launch("open-mpi-5", f"{banner(ABORT_5, second)}exit 1")
    said, = said_after(result)
    assert said.startswith("run_mpi.sh: rank 1 ended the launch; resume with: ")


def test_other_blocks_are_left_alone(launch):
    text = "There are not enough slots available in the system to satisfy the 3\nslots that were requested"
    result = launch("open-mpi-5", f"{banner(text)}exit 1")
    assert said_after(result)[:-1] == [RULE, *text.splitlines(), RULE]
    assert said_after(result)[-1].startswith("run_mpi.sh: the launcher ended with status 1 before the run was finished")


def test_verbose_leaves_the_banner_and_still_explains(run_mpi, fake_mpirun, two_agents):
    mpirun = fake_mpirun("open-mpi-5", f"{PLACEMENT}{banner(KILLED_5)}exit 137")
    result = run_mpi("-n", "2", "--verbose", two_agents, mpirun=mpirun)
    assert said_after(result)[:-1] == [RULE, *KILLED_5.splitlines(), RULE]
    assert "rank 1 (agents 3-4) was killed by signal 9" in said_after(result)[-1]


@pytest.mark.parametrize(("mpi", "report", "name"), [
    ("mpich", "=   PID 100 RUNNING AT h\n=   EXIT CODE: 9\nRULE\n"
              "YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)\n"
              "This typically refers to a problem with your application.", "MPICH"),
    ("intel", "=   RANK 0 PID 100 RUNNING AT h\n=   KILLED BY SIGNAL: 9 (Killed)\nRULE", "Intel MPI"),
])
def test_hydra_reports_on_standard_output(launch, mpi, report, name):
    rule = "=" * 83
    text = f"rewards\n{rule}\n=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n{report.replace('RULE', rule)}"
    result = launch(mpi, f"cat <<'END'\n{text}\nEND\nexit 9")
    assert (result.returncode, result.stdout) == (9, "rewards\n")
    assert f"a rank was killed by signal 9 ({name} does not say which); resume with: " in said_after(result)[0]


@pytest.mark.parametrize("mpi", ["mpich", "intel"])
def test_an_abort_under_hydra_names_its_rank(launch, mpi):
    line = "Abort(1) on node 1 (rank 1 in comm 0): application called MPI_Abort(MPI_COMM_WORLD, 1) - process 1"
    result = launch(mpi, f"{PLACEMENT}echo '{line}' >&2\nexit 1")
    assert said_after(result)[0].startswith("run_mpi.sh: rank 1 (agents 3-4) ended the launch; resume with: ")


def test_an_unfinished_line_is_shown_at_once(fake_mpirun, two_agents):
    mpirun = fake_mpirun("open-mpi-5", r"printf '\r 40 %%' >&2; sleep 60")
    with subprocess.Popen([SCRIPT, "-n", "2", two_agents], env=environment(mpirun), stderr=subprocess.PIPE) as process:
        process.stderr.readline()    # the command
        assert process.stderr.read(5) == b"\r 40 "
        process.terminate()
        assert process.wait(10) == 128 + signal.SIGTERM


def test_the_ranks_learn_how_wide_the_terminal_is(fake_mpirun, two_agents):
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 97, 0, 0))
    command = [SCRIPT, "-n", "2", two_agents]
    said = subprocess.run(command, env=environment(fake_mpirun("open-mpi-5", "echo $NETAC_TERMINAL")), stderr=theirs,
                          stdout=subprocess.PIPE, text=True, timeout=60).stdout
    os.close(theirs)
    os.close(ours)
    assert said == "97\n"


RANKS = """\
import os, signal, sys, time
from mpi4py import MPI
world = MPI.COMM_WORLD
from netac.comm import launch
launch.announce(world, str, False)
pids = world.gather(os.getpid())
if world.rank == 0:
    print(*pids, os.environ["OMP_NUM_THREADS"], os.environ["NETAC_MPI"], flush=True)
    if sys.argv[1:] > ["sleep"]:
        with open(sys.argv[2], "w") as file:
            print(*pids, file=file)
world.Barrier()
if sys.argv[1] == "kill" and world.rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] in {"kill", "sleep"}:
    time.sleep(60)
sys.exit(int(sys.argv[2]) if sys.argv[1] == "exit" else 0)
"""


@pytest.fixture
def ranks(tmp_path: Path, mpi: Mpi) -> Path:
    """A real MPI program that stands in for netac; the test is skipped where there is no MPI."""
    path = tmp_path / "ranks.py"
    path.write_text(RANKS)
    return path


def running(pids: list[int], seconds: float = 5) -> list[int]:
    """Those of the processes that have not ended after a grace of `seconds`."""
    deadline = time.monotonic() + seconds
    while (left := [pid for pid in pids if _exists(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("processes", "status"), [(2, 0), (8, 0), (3, 1), (3, 2)])
def test_a_real_launch(run_mpi, ranks, processes, status):
    result = run_mpi("-n", str(processes), ranks, "exit", str(status))
    assert result.returncode == status, result.stderr
    *pids, threads, mpi = result.stdout.split()
    assert (len(set(pids)), threads, mpi) == (processes, "1", "1")


def test_a_really_killed_rank(run_mpi, ranks):
    start = time.monotonic()
    result = run_mpi("-n", "3", ranks, "kill")
    assert time.monotonic() - start < 10
    assert result.returncode not in {0, 2}
    assert "killed by signal 9" in result.stderr
    assert running([int(pid) for pid in result.stdout.split()[:3]]) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_every_rank(ranks, number):
    process = subprocess.Popen([SCRIPT, "-n", "3", ranks, "sleep"], env=environment(), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    pids = [int(pid) for pid in process.stdout.readline().split()[:3]]
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}" in err
    assert running(pids) == []


def test_the_mpirun_fixture_gives_status_and_output(mpirun, ranks, tmp_path):
    result = mpirun(3, [sys.executable, ranks, "exit", "2"])
    assert result.returncode == 2
    assert result.stdout.split()[3:] == ["1", "1"]


def test_the_mpirun_fixture_ends_what_takes_too_long(mpirun, ranks, tmp_path):
    pids = tmp_path / "pids"
    with pytest.raises(pytest.fail.Exception, match="3 processes did not end within 3 s"):
        mpirun(3, [sys.executable, ranks, "sleep", pids], timeout=3)
    assert running([int(pid) for pid in pids.read_text().split()]) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_netac_runs(run_mpi, two_agents, tmp_path, mpi, processes):
    result = run_mpi("-n", str(processes), two_agents, "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "summary.json").is_file()


def test_bad_input_ends_with_status_2(run_mpi, two_agents, mpi):
    result = run_mpi("-n", "2", two_agents, "--set", "algorithm.name=cca")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr and "cac" in result.stderr


