"""A consensus iteration of DISROPT 0.1.9 against a round of netac: ring of four processes, 1,000 doubles."""

from __future__ import annotations

import importlib.util

import numpy as np

from benchmarks.rows.consensus import own_values, ring
from benchmarks.timing import Row, compare, microseconds, per_round, race

PROCESSES = 4
WIDTH, ROUNDS, BLOCKS = 1_000, 100, 11
WHAT = f"DISROPT 0.1.9 `Consensus` iteration / netac round: ring, {PROCESSES} processes, {WIDTH:,} doubles"


def measure(comm) -> list[Row]:
    """One row; without DISROPT it says so."""
    if importlib.util.find_spec("disropt") is None:
        return [Row(WHAT, "", "", limit=6, at_least=True, note="DISROPT is not installed (see below)")]
    from disropt.agents import Agent
    from disropt.algorithms import Consensus
    network, x = ring(comm), own_values(comm, WIDTH)
    neighbours = [(comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size]
    agent = Agent(in_neighbors=neighbours, out_neighbors=neighbours,
                  in_weights=dict.fromkeys((comm.rank, *neighbours), 1 / 3))
    peer = Consensus(agent, initial_condition=x[0].copy())
    peer.iterate_run()
    np.testing.assert_allclose(network.mix(0, x)[0], peer.x, rtol=1e-12)
    timings = race(per_round(lambda: network.mix(0, x), ROUNDS, comm), per_round(peer.iterate_run, ROUNDS, comm),
                   BLOCKS)
    network.close()
    return [compare(WHAT, timings, microseconds, 6, inverse=True)]
