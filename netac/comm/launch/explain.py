"""Who ended a launch, in one line: the launcher's reports of a dead rank, told as agents, and how to go on."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from netac.comm.launch.small_shm import MORE, PLACE

ERROR = "netac: error: "

_KILLED = re.compile(r"rank ([0-9]+) with PID [0-9]+ on node [^ ]+ exited on signal ([0-9]+)")
_ABORTED = re.compile(r"(?:MPI_ABORT was invoked on rank|Abort\([0-9]+\) on node [0-9]+ \(rank) ([0-9]+)")
_QUIT = re.compile(r"Process name: \[+[^ ]*,([0-9]+)\] Exit code: ([0-9]+)")
_BADLY = re.compile(r"BAD TERMINATION.*(?:EXIT STRING: [^(]*\(signal |KILLED BY SIGNAL: )([0-9]+)")
_PLACED = re.compile(r"^netac: rank ([0-9]+) .* agents (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Ending:
    """Why a launch ended.

    Attributes:
        cause: in one line.
        resumable: whether the run can go on from its last checkpoint.
    """

    cause: str
    resumable: bool = False


def explain(reports: str, status: int, title: str, placement: str = "") -> Ending | None:
    """Which agents ended a launch; None where the run has said what there is to say.

    Args:
        reports: what the launcher said of it, among other things.
        status: the launcher's exit status.
        title: what the MPI is called.
        placement: what process 0 wrote to the placement file; without it the rank is named alone.
    """
    text = " ".join(reports.split())
    agents = {int(rank): f" (agents {held})" for rank, held in reversed(_PLACED.findall(placement))}

    def who(rank: str) -> str:
        return f"rank {rank}{agents.get(int(rank), '')}"

    if found := _KILLED.search(text):
        return Ending(f"{who(found[1])} was killed by signal {found[2]}{_behind(found[2])}", resumable=True)
    if found := _ABORTED.search(text):
        return Ending(f"{who(found[1])} ended the launch")
    if found := _QUIT.search(text):
        return None if found[2] == "2" else Ending(f"{who(found[1])} ended with status {found[2]}")
    if found := _BADLY.search(text):
        return Ending(f"a rank was killed by signal {found[1]} ({title} does not say which){_behind(found[1])}",
                      resumable=True)
    return Ending(f"the launcher ended with status {status}") if status > 2 else None


def _behind(number: str) -> str:
    """What is behind a signal, where that can be told."""
    return f": a bus error, {PLACE} may be full ({MORE})" if int(number) == signal.SIGBUS else ""


def failure(told: str, printed: str, status: int, title: str, placement: str = "") -> str:
    """Why a launch of `netac run` failed, in one line: its own message if it left one, else what `explain` finds.

    Args:
        told: what the launch wrote to standard error.
        printed: what it wrote to standard output.
        status, title, placement: as in `explain`.
    """
    said = next((line.removeprefix(ERROR) for line in told.splitlines() if line.startswith(ERROR)), None)
    ending = explain(told + printed, status, title, placement)
    return said or (ending.cause if ending else f"the launch ended with status {status}")


def resume_command(script: Sequence[str], processes: int, hostfile: str | None, file: str,
                   arguments: Sequence[str]) -> str | None:
    """The command with which an experiment goes on; None for a Python script, which may know no --resume.

    Args:
        script: the words that started the launcher.
        arguments: those after the experiment file.
    """
    if file.endswith(".py"):
        return None
    hosts = ["--hostfile", hostfile] if hostfile else []
    resume = [] if "--resume" in arguments else ["--resume"]
    return shlex.join([*script, "-n", str(processes), *hosts, file, *arguments, *resume])
