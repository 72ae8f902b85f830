"""What process 0 collects for the records of a run: control traffic, which is not counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netac.comm.placement import Placement

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass(frozen=True)
class Gathering:
    """Collects from all processes, which must all call the same methods in the same order.

    Args:
        placement: which process holds which agents.
        comm: the launch's communicator, None where there is one process.
    """

    placement: Placement
    comm: MPI.Intracomm | None = None

    def rows(self, own: np.ndarray) -> np.ndarray | None:
        """All agents' rows on process 0, None elsewhere: (n, D) -> (N, D)."""
        if self.comm is None:
            return own
        whole = np.empty((self.placement.agents, own.shape[1]), own.dtype) if self.comm.rank == 0 else None
        counts = [count * own.shape[1] for count in self.placement.counts]
        self.comm.Gatherv(np.ascontiguousarray(own), None if whole is None else [whole, counts], root=0)
        return whole

    def sums(self, own: np.ndarray) -> np.ndarray:
        """Sums over all processes of whole numbers (k,), on every process."""
        return own if self.comm is None else self.comm.allreduce(own)
