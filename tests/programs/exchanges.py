"""Mixing between processes against dense algebra: random doubly stochastic matrices, recurring and not, of every width.

The argument says how values travel: "shared" memory; "unordered", the same on a processor whose stores are not seen in
their order; "messages"; "old-mpi", an MPI without persistent collectives, and
with little memory to share.  Of one process alone: "one-old-mpi", the same; "one-nearly-full", it sees little memory
to share; "one-without-place", process 0 can make no file for it; "one-without-memory", another one cannot map that.
"""

import errno
import json
import sys
import tempfile
import time
from types import SimpleNamespace

import numpy as np
from scipy.sparse import csr_array

from netac.comm import launch, shared_memory
from netac.comm.channels import Neighbourhood, PointToPoint
from netac.comm.ledger import Ledger
from netac.comm.network import CACHE, Network
from netac.comm.placement import Placement

way = sys.argv[1]


def fail(*_, **__):
    """As a process does that has as much memory as it may have."""
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


comm = launch.communicator()
shared_memory.IN_ORDER = shared_memory.IN_ORDER and way != "unordered"
shared_memory.BUDGET = {"messages": 0, "one-old-mpi": 0, "old-mpi": 20_000}.get(way, shared_memory.BUDGET)
if way == "old-mpi" or (way == "one-old-mpi" and comm.rank == 1):
    import old_mpi
    comm = old_mpi.communicator()
if way == "one-without-place" and comm.rank == 0:
    shared_memory.tempfile = SimpleNamespace(mkstemp=fail, gettempdir=tempfile.gettempdir)
if way == "one-nearly-full" and comm.rank == 3:
    shared_memory._free = lambda: 100
if way == "one-without-memory" and comm.rank == 2:
    shared_memory.mmap = SimpleNamespace(mmap=fail)
sys.excepthook = lambda *error: (sys.__excepthook__(*error), comm.Abort(1))      # others may be waiting
opened = {Neighbourhood: 0, PointToPoint: 0, shared_memory.Shared: 0}


def doubly_stochastic(rng: np.random.Generator, agents: int, permutations: int, isolated: int) -> csr_array:
    """A convex combination of the identity and random permutations that leave the first `isolated` agents alone."""
    W = np.zeros((agents, agents))
    for weight in rng.dirichlet(np.ones(permutations + 1)):
        order = np.arange(agents)
        if W.any():                                      # the identity comes first: the diagonal is positive
            order[isolated:] = rng.permutation(order[isolated:])
        W[np.arange(agents), order] += weight
    return csr_array(W)


def count(kind: type) -> None:
    """Counts the channels of a kind as they are opened."""
    begin = kind.__init__

    def counted(self, *arguments):
        opened[kind] += 1
        begin(self, *arguments)

    kind.__init__ = counted


def dawdle(kind: type, now_and_then: np.random.Generator) -> None:
    """Lets a process be late now and then to read what its neighbours have posted."""
    read = kind.mixture

    def late(self):
        self._announcement.wait()
        if now_and_then.random() < 0.02:
            time.sleep(0.003)
        return read(self)

    kind.mixture = late


def same(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    error = np.abs(found - expected).max(initial=0.0)
    assert found.shape == expected.shape and error <= 1e-12 * max(1.0, np.abs(expected).max(initial=0.0)), (what, error)


for kind in opened:
    count(kind)
dawdle(shared_memory.Shared, np.random.default_rng(comm.rank))
graphs = 0
for agents in (comm.size, comm.size + 3, 17):
    rng = np.random.default_rng(agents)
    placement, ledger = Placement(agents, comm.size, comm.rank), Ledger(agents)
    own = slice(placement.local.start, placement.local.stop)
    matrices = [doubly_stochastic(rng, agents, int(rng.integers(1, 4)), int(rng.choice([0, agents // 2, agents - 2])))
                for _ in range(CACHE + 20)] + [csr_array(np.eye(agents))]
    graphs += len(matrices)
    network = Network(lambda t: matrices[t], placement, ledger, comm)  # noqa: B023
    recurring = [0, 1, 2, 1, 0, 2, 2, 2, 0]
    messages, sizes = np.zeros(agents), np.zeros(agents)
    for t in [*recurring, *range(len(matrices)), *recurring, *range(len(matrices) - 5, len(matrices))]:
        for width in (1, 7) if t % 3 else (3, 200):
            x, rounds = rng.standard_normal((agents, width)), int(rng.integers(1, 4))
            dense = np.linalg.matrix_power(matrices[t].toarray(), rounds) @ x
            mixed = network.mix(t, x[own].copy(), rounds)
            same(mixed, dense[own], f"mix {agents} {t} {width}")
            total = comm.allreduce(mixed.sum(axis=0))
            assert np.abs(total - x.sum(axis=0)).max() < 1e-10, "the mean is not kept"
            listeners = (matrices[t].toarray() != 0).sum(axis=0) - 1
            messages += rounds * listeners
            sizes += rounds * 8 * width * listeners
    x = rng.standard_normal((agents, 4))
    held = x[own].copy()
    network.post(3, held)
    network.settle()
    same(held, (matrices[3].toarray() @ x)[own], "settle")
    listeners = (matrices[3].toarray() != 0).sum(axis=0) - 1
    assert np.array_equal(ledger.consensus_messages, messages + listeners), "messages by hand"
    assert np.array_equal(ledger.consensus_bytes, sizes + 32 * listeners), "bytes by hand"
    wire = comm.allreduce(ledger.wire_bytes)
    if agents == comm.size:
        assert wire == ledger.consensus_bytes.sum(), "one agent per process: wire and logical bytes are the same"
    else:
        assert 0 < wire < ledger.consensus_bytes.sum(), "agents of one process need no wire"
    network.close()
if comm.rank == 0:
    print(json.dumps({"graphs": graphs, "neighbourhoods": opened[Neighbourhood], "point_to_point": opened[PointToPoint],
                      "shared": opened[shared_memory.Shared]}))
