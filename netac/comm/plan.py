"""How this process applies one weight matrix W_t: who is heard, who is told, and the weighted sums."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from netac.comm.placement import Placement

# The kernel behind csr_array @ ndarray, without its checks: the sum of three rows of 1,000 doubles takes 7 us with it
# and 19 us by the public way, a whole round of the benchmark "consensus" 16 us between four processes.
try:
    from scipy.sparse._sparsetools import csr_matvecs
except ImportError:      # pragma: no cover - another scipy: the public way, same kernel
    def csr_matvecs(rows: int, columns: int, vectors: int, indptr: np.ndarray, indices: np.ndarray, data: np.ndarray,
                    x: np.ndarray, y: np.ndarray) -> None:
        y += (csr_array((data, indices, indptr), shape=(rows, columns)) @ x.reshape(columns, vectors)).ravel()


@dataclass(frozen=True)
class Links:
    """Over which the agents of this process hear others: L links, by hearer and then by speaker, ascending.

    Attributes:
        hearer: (L,) own agents, counted from 0.
        speaker: (L,) whom they hear, of all agents.
        weight: (L,) W_ij.
        place: (L,) where the speaker stands among the plan's agents.
    """

    hearer: np.ndarray
    speaker: np.ndarray
    weight: np.ndarray
    place: np.ndarray


@dataclass(frozen=True)
class Plan:
    """The rows of W_t that belong to this process, over the agents it needs.

    The agents needed are kept in ascending order: those of lower processes ("ghosts"), its own, those of higher ones;
    every weighted sum runs through them in that order, whatever the placement, so that the result's bits do too.

    Attributes:
        degrees: (N,) how many other agents each agent sends to, in the whole network.
        silent: no agent of the whole network sends anything.
        whole: wherever a process of the launch hears another one, it needs all of that one's agents.
        agents: which agents' values take part, ghosts and own, ascending.
        own: where the own agents stand among them.
        sources: (process, slice of the needed agents) for each process that is heard.
        targets: (process, own agents it needs, counted from 0) for each process that is told.
        indptr, indices, weights: the own rows of W_t, compressed, with columns counted among the needed agents.
    """

    degrees: np.ndarray
    silent: bool
    whole: bool
    agents: np.ndarray
    own: slice
    sources: tuple[tuple[int, slice], ...]
    targets: tuple[tuple[int, np.ndarray], ...]
    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray

    @property
    def needed(self) -> int:
        """How many agents' values take part."""
        return len(self.agents)

    def among_all(self, placement: Placement) -> Plan:
        """The same sums over an array that holds all agents' values."""
        return replace(self, agents=np.arange(placement.agents), own=slice(placement.local.start, placement.local.stop),
                       indices=self.agents[self.indices])

    def apply(self, values: np.ndarray, weights: np.ndarray | None = None,
              onto: np.ndarray | None = None) -> np.ndarray:
        """sum_j W_ij values_j for every own agent i: (needed, d), C-contiguous, double or single -> (n, d).

        Args:
            weights: in the place of the plan's.
            onto: (n, d), C-contiguous: what the sums are added to, in place.
        """
        n = self.own.stop - self.own.start
        mixed = np.zeros((n, values.shape[1]), values.dtype) if onto is None else onto
        if weights is None or weights is self.weights:
            weights = self.weights if values.dtype.char == "d" else self._single
        else:
            weights = weights.astype(values.dtype, copy=False)
        csr_matvecs(n, len(values), values.shape[1], self.indptr, self.indices, weights, values.ravel(), mixed.ravel())
        return mixed

    @cached_property
    def links(self) -> Links:
        """The entries of the own rows off the diagonal."""
        off, hearer = self._off_diagonal
        place = self.indices[off]
        return Links(hearer[off], self.agents[place], self.weights[off], place)

    @cached_property
    def heard_by(self) -> np.ndarray:
        """(n,) how many others each own agent hears."""
        return np.bincount(self.links.hearer, minlength=self.own.stop - self.own.start)

    @cached_property
    def by_speaker(self) -> Plan:
        """The same sums over an array of the own agents' values and, below them, of what all needed agents said."""
        off, hearer = self._off_diagonal
        n = self.own.stop - self.own.start
        return replace(self, own=slice(0, n), indices=np.where(off, n + self.indices, hearer))

    def without(self, missing: np.ndarray) -> np.ndarray:
        """The weights where what `missing` links (L,) should bring counts as the hearer's own, which has an entry."""
        if not missing.any():
            return self.weights
        off, _ = self._off_diagonal
        weights, links = self.weights.copy(), self.links
        weights[np.flatnonzero(off)[missing]] = 0.0
        weights[~off] += np.bincount(links.hearer[missing], weights=links.weight[missing], minlength=len(self.heard_by))
        return weights

    def towards(self, weights: np.ndarray, gain: float) -> np.ndarray:
        """gain (W - I), of weights W in the plan's order."""
        off, _ = self._off_diagonal
        return gain * (weights - ~off)

    @cached_property
    def by_link(self) -> Plan:
        """The same sums over an array of the own agents' values and, below them, of what came over each of `links`."""
        off, hearer = self._off_diagonal
        n = self.own.stop - self.own.start
        return replace(self, own=slice(0, n), indices=np.where(off, n + np.cumsum(off) - 1, hearer))

    @cached_property
    def _off_diagonal(self) -> tuple[np.ndarray, np.ndarray]:
        """Which entries of the own rows are off the diagonal, and the row of each."""
        hearer = np.repeat(np.arange(self.own.stop - self.own.start), np.diff(self.indptr))
        return self.indices != self.own.start + hearer, hearer

    @cached_property
    def _single(self) -> np.ndarray:
        """The weights for values in single precision."""
        return self.weights.astype(np.float32)


def digest(matrix: csr_array) -> bytes:
    """16 bytes that tell one weight matrix from another."""
    hashed = hashlib.blake2b(digest_size=16)
    for part in (matrix.indptr, matrix.indices, matrix.data):
        hashed.update(part.tobytes())
    return hashed.digest()


def make_plan(matrix: csr_array, placement: Placement) -> Plan:
    """The plan of this process for W_t = `matrix`, which every process knows whole."""
    N, me, own = placement.agents, placement.rank, placement.local
    rows, columns = matrix.indptr, matrix.indices
    off = np.repeat(np.arange(N), np.diff(rows)) != columns
    mine, takes_part = slice(rows[own.start], rows[own.stop]), np.zeros(N, dtype=bool)
    takes_part[columns[mine]] = takes_part[own.start:own.stop] = True
    needed, place = np.flatnonzero(takes_part), np.cumsum(takes_part) - 1
    first = int(place[own.start])
    listener, agent, owners = _heard(matrix, placement)
    heard = [(int(rank), placement.block(rank)) for rank in np.unique(owners[agent[listener == me]])]
    sources = [(rank, slice(*np.searchsorted(needed, [block.start, block.stop]).tolist())) for rank, block in heard]
    told = owners[agent] == me
    targets = [(int(rank), agent[told & (listener == rank)] - own.start) for rank in np.unique(listener[told])]
    number = np.bincount(listener * placement.processes + owners[agent], minlength=placement.processes**2)
    blocks = np.tile(placement.counts, placement.processes)
    return Plan(degrees=np.bincount(columns[off], minlength=N), silent=not off.any(),
                whole=bool(((number == 0) | (number == blocks)).all()), agents=needed,
                own=slice(first, first + len(own)), sources=tuple(sources), targets=tuple(targets),
                indptr=(rows[own.start:own.stop + 1] - rows[own.start]).astype(np.int64),
                indices=place[columns[mine]], weights=matrix.data[mine].copy())


def _heard(matrix: csr_array, placement: Placement) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All (process, agent of another process that it hears), in ascending order, and the owner of every agent."""
    N = placement.agents
    owners = np.repeat(np.arange(placement.processes), placement.counts)
    by = np.repeat(owners, np.diff(matrix.indptr))
    foreign = by != owners[matrix.indices]
    listener, agent = np.divmod(np.unique(by[foreign] * N + matrix.indices[foreign]), N)
    return listener, agent, owners
