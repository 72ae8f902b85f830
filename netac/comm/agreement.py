"""Whether all processes see the same graphs: a user's function that is none of t and n would leave them waiting for ever."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from netac.comm.placement import Placement
from netac.comm.plan import digest
from netac.topology import Topology
from netac.utils.errors import RunError


def agreed(topology: Topology, placement: Placement, comm) -> Callable[[int], csr_array]:
    """t -> W_t, compared between all processes when it is first asked for (one small Allgather).

    A periodic topology is compared over one period.  The function returned raises a RunError that names the agents of
    the first process whose W_t is not that of process 0.
    """
    period, compared = topology.period, set()

    def matrix(t: int) -> csr_array:
        W, at = topology.matrix(t), t if topology.period is None else t % topology.period
        if at not in compared:
            if period is None:
                compared.clear()             # the rounds of one iteration ask for the same t
            compared.add(at)
            digests = np.empty((comm.size, 2), dtype=np.uint64)
            comm.Allgather(np.frombuffer(digest(W), dtype=np.uint64), digests)
            if other := np.flatnonzero((digests != digests[0]).any(axis=1)).tolist():
                raise RunError(f"{topology.where}: graph(t={at}) or its weights are not the same in every process: it must be "
                               "a function of t and n alone, random numbers seeded with t", agent=placement.block(other[0]))
        return W

    return matrix
