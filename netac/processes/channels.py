"""How values travel: to all processes by an Allgather; to neighbours over a neighbourhood communicator or point to point.

A channel belongs to one plan, one width and one type of numbers; its buffers are allocated once.  `values` (needed, width)
holds the own agents' values, which are sent from there, and the neighbours', which are received into it.
"""

from __future__ import annotations

import numpy as np

from netac.processes.placement import Placement
from netac.processes.plan import Plan

TAG = 7


class Everyone:
    """One Allgather of `width` numbers per agent: persistent where MPI offers it (MPI-4), else blocking."""

    def __init__(self, placement: Placement, width: int, dtype: np.dtype, comm):
        from mpi4py.util.dtlib import from_numpy_dtype
        self._sent = np.empty((len(placement.local), width), dtype)
        self._received = np.empty((placement.agents, width), dtype)
        self.messages = placement.processes - 1
        self.bytes = self.messages * self._sent.nbytes
        kind, counts = from_numpy_dtype(self._sent.dtype), [count * width for count in placement.counts]
        if len(set(counts)) == 1:
            sent, received = [self._sent, kind], [self._received, kind]
            persistent, once = comm.Allgather_init, comm.Allgather
        else:
            sent, received = [self._sent, kind], [self._received, counts, kind]
            persistent, once = comm.Allgatherv_init, comm.Allgatherv
        self._free = lambda: None
        try:
            self._request = persistent(sent, received)
            self._exchange, self._free = self._start_and_wait, self._request.Free
        except NotImplementedError:
            self._exchange = lambda: once(sent, received)

    def _start_and_wait(self) -> None:
        self._request.Start()
        self._request.Wait()

    def gather(self, own: np.ndarray) -> np.ndarray:
        """(n, width) of this process's agents -> (N, width) of all, in a buffer that the next call overwrites."""
        self._sent[:] = own
        self._exchange()
        return self._received

    def close(self) -> None:
        """Free the persistent request, if it is one."""
        self._free()


class Channel:
    """Buffers of one plan at one width and type, and how its outgoing values are laid out in them."""

    def __init__(self, plan: Plan, width: int, dtype: np.dtype):
        self.plan, self.width = plan, width
        self.values = np.zeros((plan.needed, width), dtype)
        self._own = self.values[plan.own]
        rows = [rows for _, rows in plan.targets]
        self._gathered = None if plan.whole else np.concatenate([*rows, np.empty(0, dtype=np.int64)]).astype(np.int64)
        self._outgoing = self._own if plan.whole else np.empty((len(self._gathered), width), dtype)
        sizes = [len(r) * width for r in rows]
        self._send_counts = sizes
        self._send_starts = [0] * len(sizes) if plan.whole else [sum(sizes[:k]) for k in range(len(sizes))]
        self._receive_counts = [(s.stop - s.start) * width for _, s in plan.sources]
        self._receive_starts = [s.start * width for _, s in plan.sources]
        self.messages, self.bytes = len(sizes), dtype.itemsize * sum(sizes)

    def load(self, values: np.ndarray) -> None:
        """Take the own agents' values (n, width) and pack what goes out."""
        self._own[:] = values
        if not self.plan.whole:
            np.take(self._own, self._gathered, axis=0, out=self._outgoing)

    def start(self) -> None:
        """Send what was loaded; nothing waits."""

    def finish(self) -> None:
        """Wait until the neighbours' values have come and the own have gone."""

    def close(self) -> None:
        """Give back what the channel holds of MPI."""


class Within(Channel):
    """A single process: nothing travels, and values that already lie in one block are used where they are."""

    def load(self, values: np.ndarray) -> None:
        """Take the agents' values (N, width)."""
        if values.flags.c_contiguous:
            self.values = values
        else:
            self.values = self._own
            super().load(values)


class PointToPoint(Channel):
    """One message per neighbour process and round, over the launch's own communicator: for graphs that do not recur."""

    def __init__(self, plan: Plan, width: int, dtype: np.dtype, comm):
        super().__init__(plan, width, dtype)
        from mpi4py import MPI
        self._comm, self._wait = comm, MPI.Request.Waitall
        self._requests: list = []

    def start(self) -> None:
        """Post all receives, then all sends."""
        comm, incoming, outgoing = self._comm, self.values.reshape(-1), self._outgoing.reshape(-1)
        self._requests = [comm.Irecv(incoming[at:at + size], source=rank, tag=TAG) for (rank, _), at, size
                          in zip(self.plan.sources, self._receive_starts, self._receive_counts, strict=True)]
        self._requests += [comm.Isend(outgoing[at:at + size], dest=rank, tag=TAG) for (rank, _), at, size
                           in zip(self.plan.targets, self._send_starts, self._send_counts, strict=True)]

    def finish(self) -> None:
        """Wait for all of them."""
        self._wait(self._requests)


class Neighbourhood(Channel):
    """One neighbourhood collective per round: persistent where MPI offers it (MPI-4), else non-blocking."""

    def __init__(self, plan: Plan, width: int, dtype: np.dtype, graph):
        super().__init__(plan, width, dtype)
        from mpi4py.util.dtlib import from_numpy_dtype
        kind = from_numpy_dtype(dtype)
        incoming = [self.values, self._receive_counts, self._receive_starts, kind]
        if plan.whole:                   # one message serves all listeners; every process must find the same collective
            message = [self._own, self._own.size, kind]
            persistent, once = graph.Neighbor_allgatherv_init, graph.Ineighbor_allgatherv
        else:
            message = [self._outgoing, self._send_counts, self._send_starts, kind]
            persistent, once = graph.Neighbor_alltoallv_init, graph.Ineighbor_alltoallv
        self._free = lambda: None
        try:
            self._request = persistent(message, incoming)
            self.start, self.finish, self._free = self._request.Start, self._request.Wait, self._request.Free
        except NotImplementedError:
            self._post = lambda: once(message, incoming)

    def start(self) -> None:
        """Post the collective."""
        self._request = self._post()

    def finish(self) -> None:
        """Wait for it."""
        self._request.Wait()

    def close(self) -> None:
        """Free the persistent request, if it is one."""
        self._free()
