"""How values travel: to all processes by an Allgather, to neighbours by a neighbourhood collective or point to point.

A channel belongs to one plan, one width and one type of numbers; its buffers are allocated once.  (On one host,
neighbours may read each other's values instead: `netac.comm.shared_memory`.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from netac.comm.placement import Placement
from netac.comm.plan import Plan
from netac.comm.waiting import patient, until

if TYPE_CHECKING:
    from mpi4py import MPI

MPIBuffer = np.ndarray | list      # numbers, or [numbers, counts or places in them, their type]: what MPI takes

TAG = 7


@dataclass(frozen=True, slots=True)
class Collective:
    """A collective of MPI between fixed buffers, to be done again and again.

    Attributes:
        start: begins it; nothing waits.
        wait: waits until all has come and gone.
        free: gives back what MPI holds for it.
    """

    start: Callable[[], None]
    wait: Callable[[], None]
    free: Callable[[], None]


class Repeated:
    """A non-blocking collective that is called anew every time: `post` gives the request."""

    def __init__(self, post: Callable[[], MPI.Request]):
        self._post = post

    def start(self) -> None:
        """Nothing waits."""
        self._request = self._post()

    def wait(self) -> None:
        """Until all has come and gone."""
        until(self._request.Test)

    def free(self) -> None:
        """Nothing is held between calls."""


@cache
def persistent() -> bool:
    """Whether the MPIs of all processes of the launch offer persistent collectives (MPI-4); all ask together, once.

    A process that alone went without would be in another collective than its neighbours, and all would wait for ever.
    """
    from mpi4py import MPI
    return patient(MPI.COMM_WORLD).allreduce(_offers_persistent(MPI.COMM_SELF), MPI.LAND)


def _offers_persistent(alone: MPI.Intracomm) -> bool:
    """Whether this process's MPI does, found out with nobody else."""
    from mpi4py import MPI
    graph = alone.Create_dist_graph_adjacent([0], [0])
    sent, received = np.zeros(1), np.zeros(1)
    one, other = [sent, [1]], [received, [1]]
    try:
        for begun in (alone.Allgather_init(sent, received), alone.Allgatherv_init(sent, other),
                      graph.Neighbor_allgather_init(sent, received), graph.Neighbor_allgatherv_init(sent, other),
                      graph.Neighbor_alltoallv_init(one, other)):
            begun.Free()
    except (NotImplementedError, MPI.Exception):
        return False
    finally:
        graph.Free()
    return True


def collective(lasting: Callable, once: Callable, sent: MPIBuffer, received: MPIBuffer) -> Collective:
    """The persistent form of a collective where every process's MPI offers it, else the non-blocking one.

    Args:
        lasting, once: the communicator's two forms of it.
        sent, received: what both of them take.
    """
    if not persistent():
        repeated = Repeated(lambda: once(sent, received))
        return Collective(repeated.start, repeated.wait, repeated.free)
    request = lasting(sent, received)
    return Collective(request.Start, partial(until, request.Test), request.Free)


class Everyone:
    """One Allgather of `width` numbers per agent."""

    def __init__(self, placement: Placement, width: int, dtype: np.dtype, comm: MPI.Intracomm):
        from mpi4py.util.dtlib import from_numpy_dtype
        self._count(placement, width, dtype)
        self._sent = np.empty((len(placement.local), width), dtype)
        self._received = np.empty((placement.agents, width), dtype)
        kind, counts = from_numpy_dtype(self._sent.dtype), [count * width for count in placement.counts]
        if len(set(counts)) == 1:
            self._exchange = collective(comm.Allgather_init, comm.Iallgather, [self._sent, kind],
                                        [self._received, kind])
        else:
            self._exchange = collective(comm.Allgatherv_init, comm.Iallgatherv, [self._sent, kind],
                                        [self._received, counts, kind])

    def _count(self, placement: Placement, width: int, dtype: np.dtype) -> None:
        """What this process sends to others in an exchange."""
        self.messages = placement.processes - 1
        self.bytes = self.messages * len(placement.local) * width * dtype.itemsize

    def gather(self, own: np.ndarray) -> np.ndarray:
        """(n, width) of this process's agents -> (N, width) of all, in a buffer that the next call overwrites."""
        self._sent[:] = own
        self._exchange.start()
        self._exchange.wait()
        return self._received

    def close(self) -> None:
        """Give back what MPI holds for it."""
        self._exchange.free()


class ToTrainer:
    """One Gather of `width` numbers per agent to process 0."""

    def __init__(self, placement: Placement, width: int, dtype: np.dtype, comm: MPI.Intracomm):
        self._sent = np.empty((len(placement.local), width), dtype)
        self._received = np.empty((placement.agents, width), dtype) if placement.rank == 0 else None
        self.messages = int(placement.rank != 0)
        self.bytes = self.messages * self._sent.nbytes
        counts, self._comm = [count * width for count in placement.counts], comm
        self._into = None if self._received is None else [self._received, counts]

    def gather(self, own: np.ndarray) -> np.ndarray | None:
        """(n, width) of this process's agents -> (N, width) of all on process 0; the next call overwrites it."""
        self._sent[:] = own
        self._comm.Gatherv(self._sent, self._into, root=0)
        return self._received

    def close(self) -> None:
        """MPI holds nothing for it."""


class Channel:
    """What one plan sends at one width and type of numbers: `messages` of `bytes` in all, to other processes."""

    def __init__(self, plan: Plan, width: int, dtype: np.dtype):
        self.plan, self.width, self.messages = plan, width, len(plan.targets)
        self.bytes = dtype.itemsize * width * sum(len(agents) for _, agents in plan.targets)

    def post(self, values: np.ndarray) -> None:
        """Send the own agents' values (n, width); nothing waits."""
        raise NotImplementedError

    def mixture(self) -> np.ndarray:
        """Wait for the neighbours' values, and mix: (n, width)."""
        raise NotImplementedError

    def received(self) -> np.ndarray:
        """Wait for the values of the plan's agents, (needed, width), to be read before the next post."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what the channel holds of MPI."""


class Within(Channel):
    """A single process: nothing travels, and values that already lie in one block are used where they are."""

    def post(self, values: np.ndarray) -> None:
        """Take the agents' values (N, width)."""
        self._values = np.ascontiguousarray(values)

    def mixture(self) -> np.ndarray:
        """Mix them."""
        return self.plan.apply(self._values)

    def received(self) -> np.ndarray:
        """The values as they are."""
        return self._values


class Buffered(Channel):
    """Values that travel as messages.

    `_values` (needed, width) holds the own agents' values, which are sent from there where that can be, and the
    neighbours', which are received into it.
    """

    def __init__(self, plan: Plan, width: int, dtype: np.dtype):
        super().__init__(plan, width, dtype)
        self._values = np.zeros((plan.needed, width), dtype)
        self._own = self._values[plan.own]
        rows = [rows for _, rows in plan.targets]
        self._gathered = np.concatenate([*rows, np.empty(0, dtype=np.int64)]).astype(np.int64)
        self._outgoing = self._own if plan.whole else np.empty((len(self._gathered), width), dtype)
        self._send_counts = sizes = [len(r) * width for r in rows]
        self._send_starts = [0] * len(sizes) if plan.whole else [sum(sizes[:k]) for k in range(len(sizes))]
        self._receive_counts = [(s.stop - s.start) * width for _, s in plan.sources]
        self._receive_starts = [s.start * width for _, s in plan.sources]

    def post(self, values: np.ndarray) -> None:
        """Pack the own agents' values (n, width), and send."""
        self._own[:] = values
        if not self.plan.whole:
            np.take(self._own, self._gathered, axis=0, out=self._outgoing)
        self._start()

    def mixture(self) -> np.ndarray:
        """Wait until the neighbours' values have come and the own have gone; mix."""
        self._wait()
        return self.plan.apply(self._values)

    def received(self) -> np.ndarray:
        """Wait until the neighbours' values have come and the own have gone."""
        self._wait()
        return self._values

    def _start(self) -> None:
        """Send, and be ready to receive; nothing waits."""
        raise NotImplementedError

    def _wait(self) -> None:
        """Until all has come and gone."""
        raise NotImplementedError


class PointToPoint(Buffered):
    """One message per neighbour process and round, over the launch's own communicator: for graphs that do not recur."""

    def __init__(self, plan: Plan, width: int, dtype: np.dtype, comm: MPI.Intracomm):
        super().__init__(plan, width, dtype)
        from mpi4py import MPI
        self._comm, self._all = comm, MPI.Request.Testall
        self._requests: list = []

    def _start(self) -> None:
        """Post all receives, then all sends."""
        comm, incoming, outgoing = self._comm, self._values.reshape(-1), self._outgoing.reshape(-1)
        self._requests = [comm.Irecv(incoming[at:at + size], source=rank, tag=TAG) for (rank, _), at, size
                          in zip(self.plan.sources, self._receive_starts, self._receive_counts, strict=True)]
        self._requests += [comm.Isend(outgoing[at:at + size], dest=rank, tag=TAG) for (rank, _), at, size
                           in zip(self.plan.targets, self._send_starts, self._send_counts, strict=True)]

    def _wait(self) -> None:
        until(partial(self._all, self._requests))


class Neighbourhood(Buffered):
    """One neighbourhood collective per round."""

    def __init__(self, plan: Plan, width: int, dtype: np.dtype, graph: MPI.Distgraphcomm):
        super().__init__(plan, width, dtype)
        from mpi4py.util.dtlib import from_numpy_dtype
        kind = from_numpy_dtype(dtype)
        incoming = [self._values, self._receive_counts, self._receive_starts, kind]
        if plan.whole:                   # one message serves all listeners; every process must find the same collective
            self._exchange = collective(graph.Neighbor_allgatherv_init, graph.Ineighbor_allgatherv,
                                        [self._own, self._own.size, kind], incoming)
        else:
            self._exchange = collective(graph.Neighbor_alltoallv_init, graph.Ineighbor_alltoallv,
                                        [self._outgoing, self._send_counts, self._send_starts, kind], incoming)

    def _start(self) -> None:
        self._exchange.start()

    def _wait(self) -> None:
        self._exchange.wait()

    def close(self) -> None:
        """Give back what MPI holds for it."""
        self._exchange.free()
