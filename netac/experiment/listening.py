"""Functions of the user's that a run calls as it goes on, and where it is to stop.

They are called on process 0 alone.  A run is stopped when a row of metrics.csv has been written, where all processes
meet anyhow: so it is the same iteration for every number of processes, and gone on with, the run is the one that was
never stopped, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netac.utils.errors import InputError, NetacError, RunError, raised

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass(frozen=True)
class Moment:
    """What `on_iteration` and `on_evaluation` are told.

    Attributes:
        iteration: how many are done.
        iterations: of the whole run.
        folder: the run folder, None where nothing is written.
        row: the row of metrics.csv, or of evaluations.csv, that was just written, by column; None after an iteration
            without one.
        parameters: theta (N, d), omega (N, K), lambda (N, L), mu (N, 0 or 1) of all agents, with a row of metrics.csv.
    """

    iteration: int
    iterations: int
    folder: Path | None
    row: Mapping[str, Any] | None = None
    parameters: Mapping[str, np.ndarray] | None = None


Callback = Callable[[Moment], bool | None]


class Listener:
    """Calls the user's functions, and tells when to stop.

    Args:
        comm: of the launch.
        until: the iteration after which to stop, at the next row of metrics.csv; None: none.
        hears: whether process 0 has functions to call.
        on_iteration, on_evaluation: these, on process 0; None: none.  One that answers True stops the run.
    """

    def __init__(self, comm: MPI.Intracomm | None = None, until: int | None = None, hears: bool = False,
                 on_iteration: Callback | None = None, on_evaluation: Callback | None = None):
        self._comm, self._until, self._hears, self._asked = comm, until, hears, False
        root = comm is None or comm.rank == 0
        self.on_iteration, self._on_evaluation = (on_iteration, on_evaluation) if root else (None, None)

    def reached(self, done: int) -> bool:
        """Whether so many iterations are all that was asked for, before any function is heard."""
        return self._until is not None and done >= self._until

    def iteration(self, moment: Moment) -> None:
        """An iteration is done."""
        if self.on_iteration is not None:
            self._call("on_iteration", self.on_iteration, moment)

    def evaluation(self, moment: Moment) -> None:
        """An evaluation was made, if there is a row of it."""
        if self._on_evaluation is not None and moment.row is not None:
            self._call("on_evaluation", self._on_evaluation, moment)

    def stops(self, done: int) -> bool:
        """Whether to stop now, on every process; all must ask, after a row of metrics.csv."""
        if self._hears and self._comm is not None:
            self._asked = self._comm.bcast(self._asked, root=0)
        return self._asked or self.reached(done)

    def _call(self, name: str, function: Callback, moment: Moment) -> None:
        last = max(0, moment.iteration - 1)
        try:
            answer = function(moment)
        except (NetacError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise RunError(f"{name}: {raised(error)}", iteration=last) from error
        if answer is not None and not isinstance(answer, bool | np.bool_):
            raise RunError(f"{name} answered {answer!r}, and may answer True, to stop the run, or nothing",
                           iteration=last)
        self._asked |= bool(answer)


def refuse_unfit(until: int | None, **functions: object) -> None:
    """InputError where an iteration to stop at is none, or what is to be called cannot be."""
    if until is not None and (not isinstance(until, int) or until < 1):
        raise InputError("a run can be stopped after its first iteration at the earliest", key="--until", found=until,
                         valid="1, 2, ...")
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise InputError("cannot be called", key=name, found=function, valid="a function of one argument, or None")


def refuse_unsendable(functions: Mapping[str, Callback]) -> None:
    """InputError where a function cannot be called in processes that are started anew."""
    for name, function in functions.items():
        if why := _unsendable(function):
            raise InputError(f"cannot be sent to the processes of the runs: {why}", key=name,
                             valid="a function at the top of a module, or jobs=1")


def _unsendable(function: Callback) -> str | None:
    """Why a function cannot be sent to another process; None if it can be."""
    import pickle
    import sys
    try:
        pickle.dumps(function)
    except Exception as error:     # what is not sent says so in many ways
        return str(error) or type(error).__name__
    typed = getattr(function, "__module__", None) == "__main__" and not hasattr(sys.modules["__main__"], "__file__")
    return "it was typed into the interpreter" if typed else None
