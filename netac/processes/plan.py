"""How this process applies one weight matrix W_t: who is heard, who is told, and the weighted sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from netac.processes.placement import Placement

try:                                                   # the kernel behind csr_array @ ndarray, without its checks
    from scipy.sparse._sparsetools import csr_matvecs
except ImportError:                                    # pragma: no cover - another scipy: the public way, same kernel
    def csr_matvecs(rows, columns, vectors, indptr, indices, data, x, y):
        y += (csr_array((data, indices, indptr), shape=(rows, columns)) @ x.reshape(columns, vectors)).ravel()


@dataclass(frozen=True)
class Plan:
    """The rows of W_t that belong to this process, over the agents it needs.

    The agents needed are kept in ascending order: those of lower processes ("ghosts"), its own, those of higher ones;
    every weighted sum runs through them in that order, whatever the placement, so that the result's bits do too.

    Attributes:
        degrees: (N,) how many other agents each agent sends to, in the whole network.
        silent: no agent of the whole network sends anything.
        needed: how many agents' values take part, ghosts and own.
        own: where the own agents stand among them.
        sources: (process, slice of the needed agents) for each process that is heard.
        targets: (process, own agents it needs, counted from 0) for each process that is told.
        indptr, indices, weights: the own rows of W_t, compressed, with columns counted among the needed agents.
    """

    degrees: np.ndarray
    silent: bool
    needed: int
    own: slice
    sources: tuple[tuple[int, slice], ...]
    targets: tuple[tuple[int, np.ndarray], ...]
    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """sum_j W_ij values_j for every own agent i: (needed, d), C-contiguous -> (n, d)."""
        n = self.own.stop - self.own.start
        mixed = np.zeros((n, values.shape[1]))
        csr_matvecs(n, self.needed, values.shape[1], self.indptr, self.indices, self.weights,
                    values.ravel(), mixed.ravel())
        return mixed


def make_plan(matrix: csr_array, placement: Placement) -> Plan:
    """The plan of this process for W_t = `matrix`, which every process knows whole."""
    N, own = placement.agents, placement.local
    rows, columns = matrix.indptr, matrix.indices
    off = np.repeat(np.arange(N), np.diff(rows)) != columns
    degrees = np.bincount(columns[off], minlength=N)
    mine = slice(rows[own.start], rows[own.stop])
    heard = np.unique(columns[mine])
    needed = np.union1d(heard, np.arange(own.start, own.stop))
    first = int(np.searchsorted(needed, own.start))
    return Plan(degrees, not off.any(), len(needed), slice(first, first + len(own)),
                tuple(_sources(needed, placement)), tuple(_targets(matrix, placement)),
                (rows[own.start:own.stop + 1] - rows[own.start]).astype(np.int64),
                np.searchsorted(needed, columns[mine]).astype(np.int64), matrix.data[mine].copy())


def _sources(needed: np.ndarray, placement: Placement):
    for rank in _others(needed, placement):
        block = placement.block(rank)
        yield rank, slice(*np.searchsorted(needed, [block.start, block.stop]).tolist())


def _targets(matrix: csr_array, placement: Placement):
    own = placement.local
    told = matrix[:, own.start:own.stop].tocsc()
    listeners: dict[int, list[int]] = {}
    for agent in range(len(own)):
        for rank in _others(told.indices[told.indptr[agent]:told.indptr[agent + 1]], placement):
            listeners.setdefault(rank, []).append(agent)
    for rank in sorted(listeners):
        yield rank, np.array(listeners[rank])


def _others(agents: np.ndarray, placement: Placement) -> list[int]:
    if placement.processes == 1:
        return []
    return sorted({placement.owner(int(agent)) for agent in agents} - {placement.rank})
