"""Exact accounting of messages and bytes.

*Logical* traffic is counted as if every agent were its own process, at the sender: it is the same for every placement.
*Wire* traffic is what the processes of this launch really sent each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from netac.comm.placement import Placement

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass
class Ledger:
    """What each of `agents` agents has sent so far, and what this process has.

    Attributes:
        agents: N.
        action_bytes: bytes of one agent's action.
        games: joint actions announced in one message.
        samples: joint samples drawn.
        announced: joint actions shown to everyone: each agent's action goes to the N - 1 others.
        neighbours_messages, neighbours_bytes: in which agents told their neighbours what they see.
        trainer_messages, trainer_bytes: between a central trainer and the agents, and from agent to agent in its turn.
        wire_messages, wire_bytes: what this process sent to others.
    """

    agents: int
    action_bytes: int = 1
    games: int = 1
    samples: int = 0
    announced: int = 0
    neighbours_messages: int = 0
    neighbours_bytes: int = 0
    trainer_messages: int = 0
    trainer_bytes: int = 0
    wire_messages: int = 0
    wire_bytes: int = 0
    _sent: np.ndarray = field(init=False, repr=False)        # (2, N) messages and bytes, without `_recent`
    _recent: list = field(init=False, repr=False)            # degrees, and the rounds and bytes not yet added
    _partial: bool = field(init=False, repr=False, default=False)     # each process has counted its own agents only

    def __post_init__(self) -> None:
        self._sent, self._recent = np.zeros((2, self.agents), dtype=np.int64), [None, 0, 0]

    def consensus(self, degrees: np.ndarray, size: int) -> None:
        """Every agent sent one message of `size` bytes to each of its `degrees` neighbours; `degrees` may not change.

        Rounds over one graph are only counted, and added to the agents' totals when these are asked for.
        """
        recent = self._recent
        if recent[0] is not degrees:
            self._add_recent()
            recent[0] = degrees
        recent[1] += 1
        recent[2] += size

    def consensus_of(self, agents: range, messages: np.ndarray, nbytes: np.ndarray) -> None:
        """The agents of this process sent (n,) messages, (n,) bytes; those of others are known after `collect`."""
        self._add_recent()[:, agents.start:agents.stop] += [messages, nbytes]
        self._partial = True

    def collect(self, placement: Placement, comm: MPI.Intracomm | None) -> None:
        """Tell every process what the agents of the others sent, where each has counted its own; all must call it."""
        if comm is None or not self._partial:
            return
        own = placement.local
        mine, whole = self._add_recent()[:, own.start:own.stop].T, np.empty((self.agents, 2), dtype=np.int64)
        comm.Allgatherv(np.ascontiguousarray(mine), [whole, [2 * count for count in placement.counts]])
        self._sent[:] = whole.T
        self._partial = False

    def _add_recent(self) -> np.ndarray:
        degrees, rounds, size = self._recent
        if rounds:
            self._sent += np.multiply.outer([rounds, size], degrees)
            self._recent[1:] = 0, 0
        return self._sent

    @property
    def consensus_messages(self) -> np.ndarray:
        """(N,) messages each agent sent to its neighbours."""
        return self._add_recent()[0]

    @property
    def consensus_bytes(self) -> np.ndarray:
        """(N,) bytes each agent sent to its neighbours."""
        return self._add_recent()[1]

    def neighbours(self, messages: int, size: int) -> None:
        """`messages` messages of `size` bytes in all, in which agents told their neighbours what they see."""
        self.neighbours_messages += messages
        self.neighbours_bytes += size

    def trainer(self, messages: int, size: int) -> None:
        """`messages` messages of `size` bytes in all between the trainer and agents, or from agent to agent."""
        self.trainer_messages += messages
        self.trainer_bytes += size

    def wire(self, messages: int, size: int) -> None:
        """This process sent `messages` messages of `size` bytes in all."""
        self.wire_messages += messages
        self.wire_bytes += size

    def logical(self) -> dict[str, float]:
        """Cumulative means per agent, under the names of the columns of metrics.csv."""
        shown = self.announced * (self.agents - 1)
        messages = shown // self.games + float(self.consensus_messages.mean()) + (
            self.neighbours_messages + self.trainer_messages) / self.agents
        return {"messages": messages,
                "bytes_environment": shown * self.action_bytes + self.neighbours_bytes / self.agents,
                "bytes_consensus": float(self.consensus_bytes.mean()),
                "bytes_trainer": self.trainer_bytes / self.agents}

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps."""
        return {"ledger_samples": np.array([self.samples, self.announced]),
                "ledger_neighbours": np.array([self.neighbours_messages, self.neighbours_bytes]),
                "ledger_trainer": np.array([self.trainer_messages, self.trainer_bytes]),
                "ledger_messages": self.consensus_messages, "ledger_bytes": self.consensus_bytes}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take up the counts of a checkpoint."""
        self.samples, self.announced = state["ledger_samples"].tolist()
        self.neighbours_messages, self.neighbours_bytes = state["ledger_neighbours"].tolist()
        self.trainer_messages, self.trainer_bytes = state["ledger_trainer"].tolist()
        self.consensus_messages[:] = state["ledger_messages"]
        self.consensus_bytes[:] = state["ledger_bytes"]
