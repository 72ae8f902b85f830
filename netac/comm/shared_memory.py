"""Exchanges between processes of one host: what everybody posts lies in memory they share, where neighbours read it.

Nothing is copied but into that memory, and what travels is one byte to each neighbour process: "my values are there,
and yours of the last round are read".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netac.comm.channels import Channel, collective
from netac.comm.placement import Placement
from netac.comm.plan import Plan

if TYPE_CHECKING:
    from mpi4py import MPI

BUDGET = 32 << 20      # bytes a network may hold this way: half of what containers commonly grant in /dev/shm


class Host:
    """Opens such channels where all processes of the launch are on one host whose MPI shares memory.

    Args:
        comm: the launch's communicator.
        placement: which agents are here.
    """

    def __init__(self, comm: MPI.Intracomm, placement: Placement):
        from mpi4py import MPI
        self._comm, self._placement = comm, placement
        self._open: list[Shared] = []
        neighbours = comm.Split_type(MPI.COMM_TYPE_SHARED)
        self._together = neighbours.size == comm.size
        neighbours.Free()

    def channel(self, plan: Plan, width: int, dtype: np.dtype) -> Shared | None:
        """A channel, or None where there is no such memory left; all processes ask, and hear the same."""
        from mpi4py import MPI
        size = width * dtype.itemsize
        self._open = [channel for channel in self._open if channel.held]
        held = sum(channel.held for channel in self._open) + 2 * self._placement.agents * size
        if not self._together or held > BUDGET:
            return None
        try:
            windows = [_window(self._comm, size * len(self._placement.local)) for _ in range(2)]
        except (NotImplementedError, MPI.Exception):
            windows = []
        self._together = self._comm.allreduce(bool(windows), MPI.LAND)
        if not self._together:
            return None
        self._open.append(Shared(plan, width, dtype, self._comm, self._placement, windows))
        return self._open[-1]


def _window(comm: MPI.Intracomm, size: int) -> tuple[MPI.Win, Any]:
    """A window of `size` bytes of this process, after those of lower ranks, and the memory of all of them."""
    from mpi4py import MPI
    window = MPI.Win.Allocate_shared(size, 1, MPI.INFO_NULL, comm)
    window.Lock_all(MPI.MODE_NOCHECK)
    first, _ = window.Shared_query(0)
    return window, MPI.memory.fromaddress(first.address, comm.allreduce(size))


class Shared(Channel):
    """One pair of windows, used in turn.

    A process writes into a window again two rounds later, when each process that reads it has announced the round in
    between, and so is done with the first: one announcement a round is enough.
    """

    def __init__(self, plan: Plan, width: int, dtype: np.dtype, comm: MPI.Intracomm, placement: Placement,
                 windows: list[tuple[MPI.Win, Any]]):
        super().__init__(plan, width, dtype)
        self._plan, self._windows = plan.among_all(placement), [window for window, _ in windows]
        self.held = sum(len(memory) for _, memory in windows)
        values = [np.frombuffer(memory, dtype).reshape(placement.agents, width) for _, memory in windows]
        self._turns = [(block, block[self._plan.own], window.Sync)
                       for block, window in zip(values, self._windows, strict=True)]
        known = sorted({rank for rank, _ in (*plan.sources, *plan.targets)})      # either may be the one who waits
        self._graph = comm.Create_dist_graph_adjacent(known, known, reorder=False)
        self._announcement = collective(self._graph.Neighbor_allgather_init, self._graph.Ineighbor_allgather,
                                        np.zeros(1, np.uint8), np.zeros(len(known), np.uint8))

    def post(self, values: np.ndarray) -> None:
        """Write the own agents' values (n, width) where the others read them, and say so."""
        turn = self._turns.pop(0)
        self._turns.append(turn)
        _, own, fence = turn
        own[:] = values
        fence()
        self._announcement.start()

    def mixture(self) -> np.ndarray:
        """Wait until all neighbours have said so; read."""
        self._announcement.wait()
        values, _, fence = self._turns[-1]
        fence()
        return self._plan.apply(values)

    def received(self) -> np.ndarray:
        """Wait until all neighbours have said so; a copy."""
        self._announcement.wait()
        values, _, fence = self._turns[-1]
        fence()
        return values.take(self.plan.agents, axis=0)

    def close(self) -> None:
        """Give back the windows and the communicator."""
        self._announcement.free()
        self._turns, self.held = [], 0
        for window in self._windows:
            window.Unlock_all()
            window.Free()
        self._graph.Free()
