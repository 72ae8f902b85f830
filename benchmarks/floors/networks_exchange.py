"""A raw neighbourhood exchange with nothing but mpi4py: every process sends to its neighbours, without a sum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Exchange:
    """One `Neighbor_allgather` a round, into a preallocated buffer.

    Args:
        comm: the launch's communicator.
        neighbours: ranks this process hears, and is heard by.
        width: how many single-precision numbers each process sends.
    """

    def __init__(self, comm, neighbours: Sequence[int], width: int):
        self._graph = comm.Create_dist_graph_adjacent(neighbours, neighbours, reorder=False)
        self._received = np.empty((len(neighbours), width), np.float32)

    def swap(self, own: np.ndarray) -> np.ndarray:
        """The neighbours' numbers, (neighbours, width), for own ones (width,); the next call overwrites them."""
        self._graph.Neighbor_allgather(own, self._received)
        return self._received

    def close(self) -> None:
        """Give back the communicator."""
        self._graph.Free()
