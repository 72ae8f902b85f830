"""A consensus round on a ring of four processes, against a raw neighbourhood collective and a weighted sum in NumPy."""

from __future__ import annotations

import numpy as np

from benchmarks.floors.consensus import Ring
from benchmarks.timing import Row, compare, microseconds, per_round, race
from netac import topology
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement

PROCESSES = 4
ROUNDS = {1_000: 1_000, 100_000: 60}      # rounds a timing, by doubles
BLOCKS = 25


def ring(comm) -> Network:
    """netac's network: one agent per process on a ring."""
    placement = Placement(comm.size, comm.size, comm.rank)
    return Network(topology.load("ring", comm.size).matrix, placement, Ledger(comm.size), comm)


def own_values(comm, width: int) -> np.ndarray:
    """(1, width) numbers of this process's agent."""
    return np.random.default_rng(comm.rank).random((1, width))


def measure(comm) -> list[Row]:
    """One row per number of doubles."""
    return [_row(comm, width) for width in ROUNDS]


def _row(comm, width: int) -> Row:
    network, floor, x = ring(comm), Ring(comm, width), own_values(comm, width)
    np.testing.assert_allclose(network.mix(0, x)[0], floor.mix(x[0]), rtol=1e-12)
    timings = race(per_round(lambda: network.mix(0, x), ROUNDS[width], comm),
                   per_round(lambda: floor.mix(x[0]), ROUNDS[width], comm), BLOCKS)
    network.close()
    floor.close()
    return compare(f"consensus round, ring, {comm.size} processes, {width:,} doubles / raw `Neighbor_allgather` and a "
                   "weighted sum in NumPy", timings, microseconds, 1.2)
