"""The command line of run_mpi.sh."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netac.utils.errors import InputError

USAGE = """\
Usage: run_mpi.sh -n N [--hostfile HOSTS] [--verbose] [--dry-run] FILE [ARGUMENT ...]

Launches N MPI processes of `netac run FILE ARGUMENT ...`; agents are dealt to them in contiguous blocks, so
N = number of agents gives one process per agent. A FILE ending in .py is run as a Python script instead.

  -n, --np N          how many MPI processes
  --hostfile HOSTS    the hosts to use, in the MPI's own format ("host slots=8" for Open MPI, "host:8" for MPICH
                      and Intel MPI); netac must be installed in the same place on each of them
  --verbose           also say which rank holds which agents, and leave the MPI's own messages as they are
  --dry-run           print the command instead of running it
  -h, --help          this text

The MPI is $MPIRUN if that is set, else mpirun or mpiexec on PATH (the environment in .venv beside this script comes
first unless another one that has netac is active). Open MPI, MPICH and Intel MPI get the flags they need: more
processes than cores, running as root, variables for remote hosts. The exit status is the run's own: 0 success,
1 a failure while running, 2 bad input; others are the MPI's.

Examples:
  ./run_mpi.sh -n 8 examples/coordination.toml --set agents=8
  ./run_mpi.sh -n 8 --hostfile hosts examples/coordination.toml --resume
"""
SEE = "see run_mpi.sh --help"
EXAMPLE = "run_mpi.sh -n {} examples/coordination.toml"
HELP = ("-h", "--help")
SWITCHES = {"--verbose": "verbose", "--dry-run": "dry_run"}
VALUES = {"-n": "processes", "-np": "processes", "--np": "processes", "--hostfile": "hostfile"}
JOINED = ("--np", "--hostfile")         # --np=8


@dataclass(frozen=True)
class Request:
    """What a command line asks for.

    Attributes:
        processes: how many MPI processes, 0: not said.
        hostfile: None: this machine.
        verbose: leave the MPI's own messages as they are, and name ranks and agents.
        dry_run: print the command only.
        help: print the usage only.
        file: the experiment, or a Python script.
        arguments: what follows the file.
    """

    processes: int = 0
    hostfile: str | None = None
    verbose: bool = False
    dry_run: bool = False
    help: bool = False
    file: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def is_script(self) -> bool:
        """Whether the file is a Python script."""
        return self.file.endswith(".py")


def parse(words: Sequence[str]) -> Request:
    """What the command line asks for; nothing is checked where it asks for help.

    Raises:
        InputError: it cannot be understood, or names a file that is not there.
    """
    rest, switches, values = list(words), set[str](), {"processes": "", "hostfile": ""}
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        name, joined, value = word.partition("=")
        if word in HELP:
            return Request(help=True)
        if word in SWITCHES:
            switches.add(SWITCHES[word])
        elif joined and name in JOINED:
            values[VALUES[name]] = value
        elif word in VALUES and rest:
            values[VALUES[word]] = rest.pop(0)
        elif word in VALUES:
            raise InputError(f"{word} needs a value ({SEE})")
        else:
            raise InputError(f"unknown option {word}; options of `netac run` go after the experiment file ({SEE})")
    file, *arguments = rest or [""]
    processes, hostfile = values["processes"], values["hostfile"]
    _check(processes, hostfile, file)
    return Request(int(processes), hostfile or None, "verbose" in switches, "dry_run" in switches, False, file,
                   tuple(arguments))


def _check(processes: str, hostfile: str, file: str) -> None:
    if not processes:
        raise InputError(f"how many processes? give -n N, for example: {EXAMPLE.format(8)}")
    if not re.fullmatch("[1-9][0-9]{0,6}", processes):
        raise InputError("must be a whole number from 1 to 9999999", key="-n", found=processes)
    if not file:
        raise InputError(f"no experiment file given, for example: {EXAMPLE.format(processes)}")
    if not Path(file).is_file():
        raise InputError(f"no such experiment file: {file}")
    if hostfile and not Path(hostfile).is_file():
        raise InputError(f"--hostfile: no such file: {hostfile}")
