"""Consensus of eight agents' shared convolutions, one agent per process, against a raw exchange of the same bytes."""

from __future__ import annotations

import numpy as np

from benchmarks.floors.networks_exchange import Exchange
from benchmarks.timing import Row, compare, microseconds, per_round, race
from netac import topology
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement

PROCESSES = 8
SHARED = 5_088                     # of `examples/pursuit.toml`: 3 x 3 windows, 3 -> 16 -> 32 channels, with biases
ROUNDS, BLOCKS = 200, 25


def measure(comm) -> list[Row]:
    """One row per graph."""
    me, size = comm.rank, comm.size
    graphs = {"complete": [rank for rank in range(size) if rank != me],
              "ring": sorted({(me - 1) % size, (me + 1) % size})}
    return [_row(comm, name, neighbours) for name, neighbours in graphs.items()]


def _row(comm, name: str, neighbours: list[int]) -> Row:
    placement = Placement(comm.size, comm.size, comm.rank)
    network = Network(topology.load(name, comm.size).matrix, placement, Ledger(comm.size), comm)
    floor, own = Exchange(comm, neighbours, SHARED), np.random.default_rng(comm.rank).random((1, SHARED), np.float32)
    everyone = np.concatenate([own, floor.swap(own[0])])       # weights are equal on both graphs
    np.testing.assert_allclose(network.mix(0, own)[0], everyone.mean(axis=0, dtype=float), rtol=1e-5)

    def mixed() -> np.ndarray:
        own[:] += np.float32(1.0)              # values are new in every round, as parameters are
        return network.mix(0, own)

    def swapped() -> np.ndarray:
        own[:] += np.float32(1.0)
        return floor.swap(own[0])

    timings = race(per_round(mixed, ROUNDS, comm), per_round(swapped, ROUNDS, comm), BLOCKS)
    network.close()
    floor.close()
    return compare(f"consensus of the shared convolutions, {name} graph, {comm.size} processes, {SHARED:,} "
                   "single-precision numbers / a raw `Neighbor_allgather` of them, without a sum", timings,
                   microseconds, 1.3)
