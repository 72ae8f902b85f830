"""Exchanges between processes of one host: what everybody posts lies in memory they share, where others read it.

Nothing is copied but into that memory.  Then a process announces: "my values are there, and yours of the last round are
read".  On processors whose stores are seen in the order in which they were made (x86) this is a byte in the same
memory, where whoever waits looks for it: no process has to run but those that have something to do.  On others it is a
message of one byte to each neighbour process: what was written before a message was sent is there when it has come.

The memory is a file that all map, and that has no name any more once they do.  MPI's own, a window of
`Win.Allocate_shared`, would not do: where one process alone fails in it the others wait for ever, and where all
succeed on a full /dev/shm, the first to write is killed (SIGBUS).  Here every process does its part by itself, and all
hear whether everybody could.
"""

from __future__ import annotations

import mmap
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from netac.comm.channels import Channel, Collective, Everyone, collective
from netac.comm.placement import Placement
from netac.comm.plan import Plan
from netac.comm.waiting import until
from netac.utils.workers import cores

if TYPE_CHECKING:
    from mpi4py import MPI

BUDGET = 32 << 20      # bytes a network may hold this way: half of what containers commonly grant in /dev/shm
FOR_ALL = 1 << 20      # bytes that an exchange among all processes may hold
MOST = 128             # channels, since a file stays open for each
LOOKS = 500            # at announcements before a core is offered to others: about as long as MPI is tested
IN_ORDER = platform.machine().lower() in ("x86_64", "amd64", "i686", "i386")     # see above


class Host:
    """Opens such channels where all processes of the launch are on one host.

    Args:
        comm: the launch's communicator.
        placement: which agents are here.
    """

    def __init__(self, comm: MPI.Intracomm, placement: Placement):
        from mpi4py import MPI
        self._comm, self._placement = comm, placement
        self._open: list[Shared] = []
        neighbours = comm.Split_type(MPI.COMM_TYPE_SHARED)
        together = neighbours.size == comm.size
        neighbours.Free()
        self._budget = comm.allreduce(min(BUDGET, _free() // 2) if together else 0, MPI.MIN)

    def channel(self, plan: Plan, width: int, dtype: np.dtype) -> Shared | None:
        """A channel, or None where there is no such memory left; all processes ask, and hear the same."""
        self._open = [channel for channel in self._open if channel.held]
        size = self._size(width, dtype)
        if sum(channel.held for channel in self._open) + size > self._budget or len(self._open) == MOST:
            return None
        memory = shared(self._comm, size)
        if memory is None:
            return None
        self._open.append(Shared(plan, width, dtype, self._comm, self._placement, memory))
        return self._open[-1]

    def everyone(self, width: int, dtype: np.dtype) -> Everyone:
        """An exchange among all processes; all ask together."""
        size = self._size(width, dtype)
        memory = shared(self._comm, size) if IN_ORDER and size <= min(FOR_ALL, self._budget) else None
        if memory is None:
            return Everyone(self._placement, width, dtype, self._comm)
        return SharedEveryone(self._placement, width, dtype, self._comm, memory)

    def _size(self, width: int, dtype: np.dtype) -> int:
        """Bytes of an exchange: two turns of values and of announcements."""
        return 2 * (self._placement.agents * width * dtype.itemsize + self._placement.processes)


def shared(comm: MPI.Intracomm, size: int) -> mmap.mmap | None:
    """`size` bytes, zeros, that all processes of `comm` share; None, for all of them, where anyone cannot have them."""
    from mpi4py import MPI
    file = comm.bcast(_make(size) if comm.rank == 0 else None, root=0)
    try:
        memory = None if file is None else _open(file)
        everywhere = comm.allreduce(memory is not None, MPI.LAND)
    finally:
        if comm.rank == 0 and file is not None:
            os.unlink(file)
    return memory if everywhere else None


def _folder() -> str:
    """Where the file is made: in memory, where the system has such a place."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()


def _free() -> int:
    """How many bytes are free there; 0 where that cannot be told."""
    try:
        return shutil.disk_usage(_folder()).free
    except OSError:
        return 0


def _make(size: int) -> str | None:
    """A new file of zeros; None where there is no place for it.  They are written, so that none is missing later."""
    try:
        descriptor, file = tempfile.mkstemp(prefix="netac-", dir=_folder())
    except OSError:
        return None
    try:
        with open(descriptor, "wb") as new:
            new.write(bytes(size))
    except (OSError, MemoryError):
        os.unlink(file)
        return None
    return file


def _open(file: str) -> mmap.mmap | None:
    """The memory of a file; None where it cannot be had, as in a container that shares none with its neighbours."""
    with suppress(OSError, MemoryError), open(file, "r+b") as existing:
        return mmap.mmap(existing.fileno(), 0)
    return None


class Announcements:
    """A byte for every process and turn, at the end of the memory: the number of the round that it has come to.

    A process is at most one round ahead of those that know it, so that two turns and the last byte of the number do.

    Args:
        memory: zeros at first.
        comm: the launch's communicator.
        known: the other processes that this one waits for.
    """

    def __init__(self, memory: mmap.mmap, comm: MPI.Intracomm, known: Sequence[int]):
        self._memory, self._rank, self._progress = memory, comm.rank, comm.Iprobe
        self._starts = [len(memory) - comm.size, len(memory) - 2 * comm.size]
        self._round, self._count, self._everyone = 0, len(known), len(known) == comm.size - 1
        self._others = [itemgetter(start + comm.rank, *(start + rank for rank in known)) for start in self._starts]
        self._at_once = LOOKS if comm.size <= cores() else 0        # whoever is waited for may need this core

    def start(self) -> None:
        """Announce the next round."""
        self._round += 1
        self._memory[self._starts[self._round & 1] + self._rank] = self._round & 255

    def wait(self) -> None:
        """Until all known processes have announced it, too."""
        if self._count:
            until(self._complete, self._at_once, self._progress)

    def _complete(self) -> bool:
        turn, number = self._round & 1, self._round & 255
        if self._everyone:
            start, size = self._starts[turn], self._count + 1
            return self._memory[start:start + size].count(number) == size
        return self._others[turn](self._memory) == (number,) * (self._count + 1)

    def collective(self) -> Collective:
        """In the form that a collective of MPI has; there is nothing to be given back."""
        return Collective(self.start, self.wait, lambda: None)


class Shared(Channel):
    """Memory for two rounds, used in turn.

    A process writes into a half again two rounds later, when each process that reads it has announced the round in
    between, and so is done with the first: one announcement a round is enough.
    """

    def __init__(self, plan: Plan, width: int, dtype: np.dtype, comm: MPI.Intracomm, placement: Placement,
                 memory: mmap.mmap):
        super().__init__(plan, width, dtype)
        self._plan, self.held = plan.among_all(placement), len(memory)
        self._turns = [(block, block[self._plan.own]) for block in _turns(memory, placement, width, dtype)]
        known = sorted({rank for rank, _ in (*plan.sources, *plan.targets)})      # either may be the one who waits
        self._graph: MPI.Distgraphcomm | None = None
        if IN_ORDER:
            self._announcement = Announcements(memory, comm, known).collective()
        else:
            self._graph = comm.Create_dist_graph_adjacent(known, known, reorder=False)
            self._announcement = collective(self._graph.Neighbor_allgather_init, self._graph.Ineighbor_allgather,
                                            np.zeros(1, np.uint8), np.zeros(len(known), np.uint8))

    def post(self, values: np.ndarray) -> None:
        """Write the own agents' values (n, width) where the others read them, and say so."""
        self._turns.reverse()
        self._turns[1][1][:] = values
        self._announcement.start()

    def mixture(self) -> np.ndarray:
        """Wait until all neighbours have said so; read."""
        self._announcement.wait()
        return self._plan.apply(self._turns[1][0])

    def received(self) -> np.ndarray:
        """Wait until all neighbours have said so; a copy."""
        self._announcement.wait()
        return self._turns[1][0].take(self.plan.agents, axis=0)

    def close(self) -> None:
        """Give back the memory and the communicator."""
        self._announcement.free()
        self._turns, self.held = [], 0
        if self._graph is not None:
            self._graph.Free()


class SharedEveryone(Everyone):
    """Memory for two rounds among all processes, used in turn as that of `Shared`."""

    def __init__(self, placement: Placement, width: int, dtype: np.dtype, comm: MPI.Intracomm, memory: mmap.mmap):
        self._count(placement, width, dtype)
        own = slice(placement.local.start, placement.local.stop)
        self._turns = [(block, block[own]) for block in _turns(memory, placement, width, dtype)]
        others = [rank for rank in range(comm.size) if rank != comm.rank]
        self._exchange = Announcements(memory, comm, others).collective()

    def gather(self, own: np.ndarray) -> np.ndarray:
        """(n, width) of this process's agents -> (N, width) of all, which are overwritten after the next call."""
        self._turns.reverse()
        everyone, mine = self._turns[0]
        mine[:] = own
        self._exchange.start()
        self._exchange.wait()
        return everyone


def _turns(memory: mmap.mmap, placement: Placement, width: int, dtype: np.dtype) -> np.ndarray:
    """The values of both turns, (2, N, width)."""
    size = 2 * placement.agents * width
    return np.frombuffer(memory, dtype, size).reshape(2, placement.agents, width)
