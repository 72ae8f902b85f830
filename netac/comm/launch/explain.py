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
_LEFT = re.compile(r"has exited due to process rank ([0-9]+) with PID [0-9]+ on node [^ ]+ exiting improperly")
_BADLY = re.compile(r"BAD TERMINATION.*(?:EXIT STRING: [^(]*\(signal |KILLED BY SIGNAL: )([0-9]+)")
_RAN_AT = re.compile(r"PID ([0-9]+) RUNNING AT ([^ ]+)")
_LOST = re.compile(r"lost communication with a remote daemon.*?Remote daemon: [^ ]+ on node ([^ ]+)")
_PEER = re.compile(r"peer process has unexpectedly disconnected.*?Peer host: ([^ ]+)")
_PLACED = re.compile(r"^netac: rank ([0-9]+) pid ([0-9]+) host ([^ ]+) agents (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Ending:
    """Why a launch ended.

    Attributes:
        cause: in one line.
        resumable: whether the run can go on from its last checkpoint.
    """

    cause: str
    resumable: bool = False


def explain(reports: str, status: int, title: str, placement: str = "", said: bool = False) -> Ending | None:
    """Which agents ended a launch that is not finished; None where the run has said what there is to say.

    Args:
        reports: what the launcher said of it, among other things.
        status: the launcher's exit status, as a shell tells it.
        title: what the MPI is called.
        placement: what process 0 told of it (`announce`); without it the rank is named alone.
        said: whether the run has told of an error itself.
    """
    text = " ".join(reports.split())
    placed = {int(rank): (pid, host, held) for rank, pid, host, held in reversed(_PLACED.findall(placement))}

    def who(rank: str | int) -> str:
        return f"rank {rank}" + (f" (agents {placed[int(rank)][2]})" if int(rank) in placed else "")

    def on(host: str) -> str:
        return ", ".join(who(rank) for rank, (_, where, _) in sorted(placed.items()) if where == host)

    if found := _KILLED.search(text):
        return Ending(f"{who(found[1])} was killed by signal {found[2]}{_behind(found[2])}", resumable=True)
    if found := _ABORTED.search(text):
        return Ending(f"{who(found[1])} ended the launch", resumable=not said)
    if found := _LOST.search(text):
        held = f", which has {there}," if (there := on(found[1])) else ""
        return Ending(f"the connection to {found[1]}{held} was lost", resumable=True)
    if found := _QUIT.search(text):
        return None if said else Ending(f"{who(found[1])} ended with status {found[2]}", resumable=True)
    if found := _LEFT.search(text):
        return None if said else Ending(f"{who(found[1])} ended before the run did", resumable=True)
    if found := _BADLY.search(text):
        at = _RAN_AT.search(text) if int(found[1]) != signal.SIGKILL else None     # Hydra ends the others with SIGKILL
        dead = next((who(rank) for rank, place in placed.items() if at and at.groups() == place[:2]), None)
        unknown = "" if dead else f" ({title} does not say which)"
        return Ending(f"{dead or 'a rank'} was killed by signal {found[1]}{unknown}{_behind(found[1])}", resumable=True)
    if status > 2 and (found := _PEER.search(text)):
        there = f": {there}" if (there := on(found[1])) else ""
        return Ending(f"a process on {found[1]} ended{there}", resumable=True)
    return None if said else Ending(_unexplained(status, title), resumable=True)


def _unexplained(status: int, title: str) -> str:
    """What can be said of a launch that nobody has explained."""
    if not status:
        return f"process 0 ended before the run was finished, and {title} does not say why"
    if status - 128 in set(signal.Signals):
        return f"the launcher was killed by signal {status - 128}"
    return f"the launcher ended with status {status} before the run was finished"


def _behind(number: str) -> str:
    """What is behind a signal, where that can be told."""
    return f": a bus error, {PLACE} may be full ({MORE})" if int(number) == signal.SIGBUS else ""


def failure(told: str, printed: str, status: int, title: str, placement: str = "", said: bool = False) -> str:
    """Why a launch of `netac run` failed, in one line: its own message if it left one, else what `explain` finds.

    Args:
        told: what the launch wrote to standard error.
        printed: what it wrote to standard output.
        status, title, placement, said: as in `explain`.
    """
    own = next((line.removeprefix(ERROR) for line in told.splitlines() if line.startswith(ERROR)), None)
    ending = explain(told + printed, status, title, placement, said)
    return own or (ending.cause if ending else f"the launch ended with status {status}")


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
