"""Who ended a launch, in one line."""

from __future__ import annotations

import pytest

from netac.comm.launch.explain import Ending, explain, failure, resume_command

PLACEMENT = "netac: rank 0 pid 100 host h agents 0-2\nnetac: rank 1 pid 101 host h agents 3-4\n"
KILLED = "prterun noticed that process rank 1 with PID 101 on node h exited on\nsignal 9 (Killed)."


@pytest.mark.parametrize(("reports", "status", "expected"), [
    (KILLED, 137, Ending("rank 1 (agents 3-4) was killed by signal 9", resumable=True)),
    ("MPI_ABORT was invoked on rank 0 in ...", 1, Ending("rank 0 (agents 0-2) ended the launch")),
    ("Abort(1) on node 1 (rank 1 in comm 0): ...", 1, Ending("rank 1 (agents 3-4) ended the launch")),
    ("Process name: [prterun-h-4161@1,7] Exit code: 1", 1, None),
    ("Process name: [[12345,1],1]\n  Exit code:    2", 2, None),                # bad input: netac has said it
    ("BAD TERMINATION OF ...\nKILLED BY SIGNAL: 9", 9,
     Ending("a rank was killed by signal 9 (MPICH does not say which)", resumable=True)),
    ("BAD TERMINATION OF ...\nPID 101 RUNNING AT h ... EXIT STRING: Terminated (signal 15)", 15,
     Ending("rank 1 (agents 3-4) was killed by signal 15", resumable=True)),
    ("", 77, None),
    ("", 1, None),
])
def test_endings(reports, status, expected):
    assert explain(reports, status, "MPICH", PLACEMENT, said=True) == expected


def test_without_a_placement_the_rank_is_named():
    assert explain(KILLED, 137, "Open MPI 5") == Ending("rank 1 was killed by signal 9", resumable=True)


@pytest.mark.parametrize(("told", "printed", "status", "expected"), [
    (f"netac: error: agent 3, iteration 17: the reward is nan\nnetac: error: later\n{KILLED}", "", 1,
     "agent 3, iteration 17: the reward is nan"),
    (KILLED, "", 137, "rank 1 (agents 3-4) was killed by signal 9"),
    ("", "BAD TERMINATION\nEXIT STRING: Killed (signal 9)", 9,
     "a rank was killed by signal 9 (MPICH does not say which)"),
    ("Traceback ...", "", 1, "the launcher ended with status 1 before the run was finished"),
])
def test_a_failed_run_has_one_cause(told, printed, status, expected):
    assert failure(told, printed, status, "MPICH", PLACEMENT) == expected


def test_the_command_that_resumes():
    assert resume_command(["./run_mpi.sh"], 3, None, "a b.toml", ["--set", "x=1"]) == (
        "./run_mpi.sh -n 3 'a b.toml' --set x=1 --resume")
    assert resume_command(["./run_mpi.sh"], 3, "hosts", "a.toml", ["--resume"]) == (
        "./run_mpi.sh -n 3 --hostfile hosts a.toml --resume")
    assert resume_command(["./run_mpi.sh"], 3, None, "study.py", []) is None
