"""Networks under the conditions of a table [network], mixed without a run, and many copies of a graph side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.experiment import network_table
from netac.topology import Topology
from netac.topology.edges import from_edges, links

LONG = 10**7            # iterations of a run that conditions may reckon with


def network_of(table: Mapping[str, Any], topology: Topology, seed: int = 0) -> tuple[Network, Ledger]:
    """A single process's network under the conditions of the table [network], and what counts its traffic."""
    read = network_table.read(network_table.spelled_out(table), dict, lambda path, key: Path(path))
    ledger = Ledger(topology.agents)
    conditions = read.make(topology, LONG)
    return Network(topology.matrix, Placement(topology.agents), ledger, None, conditions, seed), ledger


def copies(topology: Topology, number: int) -> Topology:
    """A static graph so many times over: agent i of copy k is number k N + i, and copies do not hear each other.

    Links draw their chance by themselves, so that the copies are independent repetitions, done in one network.
    """
    n, W = topology.agents, topology.matrix(0)
    first = n * np.arange(number)[:, None]
    hearer, heard = ((first + end).ravel() for end in links(topology.as_given(0)))
    graph = from_edges(number * n, (heard, hearer), directed=True)
    indptr = np.append(0, (W.nnz * np.arange(number)[:, None] + W.indptr[1:]).ravel())
    whole = csr_array((np.tile(W.data, number), (first + W.indices).ravel(), indptr), shape=(number * n, number * n))
    whole.has_canonical_format = True
    return Topology(f"{number} copies of {topology.name}", number * n, topology.weights, 1, {}, lambda t: graph,
                    lambda graph: whole, foreign=False)


def off_mean(x: np.ndarray) -> np.ndarray:
    """x - mean x over the agents, the last axis but one: (..., n, D)."""
    return x - x.mean(axis=-2, keepdims=True)
