"""Waiting for other processes: the watchdog sees it, and whoever waits for long leaves the processor to others.

MPI's own waits spin for ever, and cannot be looked into.  Here a request is tested again and again: as often as can be
at first, so that an exchange costs what it does in MPI, then with pauses of a thousandth of what has been waited.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

from netac.utils.pulse import pulse

if TYPE_CHECKING:
    from mpi4py import MPI

AT_ONCE = 200                  # tests, before the processor is offered to others in between
LEAST, MOST = 1e-4, 1e-2       # seconds of a pause
SOON = 0.02                    # seconds without pauses


def until(test: Callable[[], bool], at_once: int = AT_ONCE, progress: Callable[[], object] | None = None) -> None:
    """Wait until a request's `Test`, or another test, says that it is complete.

    Args:
        at_once: tests before the processor is offered to others in between.
        progress: what lets MPI do its work for others meanwhile, where the test does not.
    """
    for _ in repeat(None, at_once):
        if test():
            pulse.beats += 1
            return
    _in_sight(test, SOON, progress)


def asleep(test: Callable[[], bool]) -> None:
    """The same, without keeping a core busy from the start."""
    _in_sight(test, 0.0)


def _in_sight(test: Callable[[], bool], soon: float, progress: Callable[[], object] | None = None) -> None:
    """Wait as the watchdog sees it; `soon`: seconds without pauses."""
    began, pulse.waiting = time.monotonic(), True
    while not test():
        waited = time.monotonic() - began
        if waited < soon:
            os.sched_yield()
        else:
            if progress is not None:
                progress()
            time.sleep(min(max(waited / 1000, LEAST), MOST))
    pulse.waiting = False
    pulse.beats += 1


def patient(comm: MPI.Intracomm) -> MPI.Intracomm:
    """The communicator, whose blocking calls wait as `until` does."""
    return _patient()(comm)


@cache
def _patient() -> type[MPI.Intracomm]:
    from mpi4py import MPI

    class Patient(MPI.Intracomm):
        """Those with buffers are begun and waited for; before the others, which are rare, all processes meet."""

        def Gatherv(self, sendbuf: Any, recvbuf: Any, root: int = 0) -> None:  # noqa: N802
            until(self.Igatherv(sendbuf, recvbuf, root).Test)

        def Gather(self, sendbuf: Any, recvbuf: Any, root: int = 0) -> None:  # noqa: N802
            until(self.Igather(sendbuf, recvbuf, root).Test)

        def Scatterv(self, sendbuf: Any, recvbuf: Any, root: int = 0) -> None:  # noqa: N802
            until(self.Iscatterv(sendbuf, recvbuf, root).Test)

        def Allgather(self, sendbuf: Any, recvbuf: Any) -> None:  # noqa: N802
            until(self.Iallgather(sendbuf, recvbuf).Test)

        def Allgatherv(self, sendbuf: Any, recvbuf: Any) -> None:  # noqa: N802
            until(self.Iallgatherv(sendbuf, recvbuf).Test)

        def Send(self, buf: Any, dest: int, tag: int = 0) -> None:  # noqa: N802
            until(self.Isend(buf, dest, tag).Test)

        def bcast(self, obj: Any, root: int = 0) -> Any:
            self._meet()
            return super().bcast(obj, root)

        def gather(self, sendobj: Any, root: int = 0) -> Any:
            self._meet()
            return super().gather(sendobj, root)

        def allgather(self, sendobj: Any) -> Any:
            self._meet()
            return super().allgather(sendobj)

        def allreduce(self, sendobj: Any, op: Any = MPI.SUM) -> Any:
            self._meet()
            return super().allreduce(sendobj, op)

        def Split_type(self, *arguments: Any) -> Any:  # noqa: N802
            self._meet()
            return super().Split_type(*arguments)

        def Create_dist_graph_adjacent(self, *arguments: Any, **options: Any) -> MPI.Distgraphcomm:  # noqa: N802
            self._meet()
            return super().Create_dist_graph_adjacent(*arguments, **options)

        def _meet(self) -> None:
            until(self.Ibarrier().Test)

    return Patient
