"""The trainer (process 0) and its agents: what it scatters to them, gathers from them, and relays from agent to agent.

Everything is counted as `trainer` traffic, logically: as if the trainer and every agent were processes of their own.
Numbers travel, and are rounded, in single precision for every placement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.comm.waiting import asleep

if TYPE_CHECKING:
    from mpi4py import MPI

TAG = 11
WIRE = np.dtype("f4")


class TrainerLinks:
    """The links between the trainer (process 0) and the agents.

    Args:
        placement: which agents are here.
        ledger: where traffic is counted.
        comm: the launch's communicator; None in a single process.
    """

    def __init__(self, placement: Placement, ledger: Ledger, comm: MPI.Intracomm | None = None):
        self.placement, self._ledger, self._comm = placement, ledger, comm

    @property
    def is_trainer(self) -> bool:
        """Whether this is process 0."""
        return self.placement.rank == 0

    def scatter(self, rows: np.ndarray | None, width: int) -> np.ndarray:
        """The trainer's (N, width) numbers, a row for each agent -> (n, width) of this process's agents, double."""
        placement, comm = self.placement, self._comm
        self._ledger.trainer(placement.agents, WIRE.itemsize * width * placement.agents)
        if comm is None:
            assert rows is not None, "the trainer has rows to hand out"
            return rows.astype(WIRE, copy=False).astype(float, order="C")
        mine = np.empty((len(placement.local), width), WIRE)
        counts = [count * width for count in placement.counts]
        sent = [np.ascontiguousarray(rows, WIRE), counts] if self.is_trainer else None
        if self.is_trainer:
            self._ledger.wire(placement.processes - 1, WIRE.itemsize * sum(counts[1:]))
        comm.Scatterv(sent, mine, root=0)
        return mine.astype(float)

    def gather(self, rows: np.ndarray, counted: bool = True) -> np.ndarray | None:
        """(n, width) of this process's agents -> (N, width) of all on process 0, double; None elsewhere.

        Args:
            counted: False for what is only shown to the user.
        """
        placement, comm, width = self.placement, self._comm, rows.shape[1]
        if counted:
            self._ledger.trainer(placement.agents, WIRE.itemsize * width * placement.agents)
        if comm is None:
            return rows.astype(WIRE, copy=False).astype(float, order="C")
        whole = np.empty((placement.agents, width), WIRE) if self.is_trainer else None
        counts = [count * width for count in placement.counts]
        if counted and not self.is_trainer:
            self._ledger.wire(1, WIRE.itemsize * counts[placement.rank])
        comm.Gatherv(np.ascontiguousarray(rows, WIRE), None if whole is None else [whole, counts], root=0)
        return None if whole is None else whole.astype(float)

    def sum(self, rows: np.ndarray) -> np.ndarray:
        """Sum over all agents of (n, width), in ascending order, gathered and scattered by the trainer: (width,)."""
        whole, width, N = self.gather(rows), rows.shape[1], self.placement.agents
        total = None if whole is None else np.add.reduce(whole, axis=0).astype(WIRE)
        return self.scatter(None if total is None else np.broadcast_to(total, (N, width)), width)[0]

    def mean(self, rows: np.ndarray) -> np.ndarray:
        """The mean over all agents of (n, width), by `sum`, for each of them: (n, width) of the same type."""
        return np.repeat((self.sum(rows) / self.placement.agents)[None].astype(rows.dtype), len(rows), axis=0)

    def relay(self, order: Iterable[int], load: np.ndarray | None, size: tuple[int, ...],
              turn: Callable[[int, np.ndarray], np.ndarray], meanwhile: Callable[[], None]) -> None:
        """The trainer's `load` of shape `size` goes from agent to agent: what `turn(agent, load)` returns goes on.

        Args:
            order: all agents.
            turn: called in the process of each agent.
            meanwhile: what the trainer's process has to do, of no effect on turns: when it would wait, or at the end.
        """
        placement, here = self.placement, 0
        load = self._single(load)
        nbytes = WIRE.itemsize * int(np.prod(size))
        for agent in order:
            self._ledger.trainer(1, nbytes)
            owner = placement.owner(agent)
            load = self._carried(load, size, here, owner, meanwhile)
            here = owner
            if placement.rank == owner:
                assert load is not None, "it has come"
                load = turn(agent, load.astype(float)).astype(WIRE)
        if self.is_trainer:
            meanwhile()

    def ask(self, agent: int, load: np.ndarray | None, size: tuple[int, ...],
            answer: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
        """The trainer's `load` of shape `size` goes to an agent, and `answer(load)`, of the same shape, comes back.

        Args:
            answer: called in the agent's process.

        Returns:
            The answer on process 0, double; None elsewhere.
        """
        owner = self.placement.owner(agent)
        self._ledger.trainer(2, 2 * WIRE.itemsize * int(np.prod(size)))
        load = self._carried(self._single(load), size, 0, owner)
        if self.placement.rank == owner:
            assert load is not None, "it has come"
            load = answer(load.astype(float)).astype(WIRE)
        load = self._carried(load, size, owner, 0)
        return load.astype(float) if load is not None and self.is_trainer else None

    def _single(self, load: np.ndarray | None) -> np.ndarray | None:
        """The trainer's load as it travels; None elsewhere."""
        return load.astype(WIRE) if load is not None and self.is_trainer else None

    def _carried(self, load: np.ndarray | None, size: tuple[int, ...], source: int, target: int,
                 meanwhile: Callable[[], None] | None = None) -> np.ndarray | None:
        """What process `source` holds, on process `target`, too; the trainer calls `meanwhile` instead of waiting."""
        if source == target or self.placement.rank not in (source, target):
            return load
        assert self._comm is not None, "a single process has all agents"
        if self.placement.rank == source:
            assert load is not None, "this process holds it"
            self._comm.Send(np.ascontiguousarray(load), dest=target, tag=TAG)     # whatever its layout in memory
            self._ledger.wire(1, load.nbytes)
            return load
        received = np.empty(size, WIRE)
        request = self._comm.Irecv(received, source=source, tag=TAG)
        if self.is_trainer and meanwhile is not None:
            meanwhile()
        asleep(request.Test)
        return received

    def meet(self) -> None:
        """Wait until all processes are here."""
        if self._comm is not None:
            asleep(self._comm.Ibarrier().Test)

    rows: ClassVar[dict[str, np.ndarray]] = {}      # what agents keep for the links

    def state(self) -> dict[str, np.ndarray]:
        """Nothing is kept between iterations."""
        return {}

    def restore(self, kept: Mapping[str, np.ndarray]) -> None:
        """Nothing."""

    @property
    def columns(self) -> tuple[str, ...]:
        """None: a trainer's messages have no conditions."""
        return ()

    def told(self) -> dict[str, np.ndarray]:
        """Nothing happens to messages."""
        return {}

    def settle(self) -> None:
        """Nothing is under way between iterations."""

    def close(self) -> None:
        """Nothing is held."""
