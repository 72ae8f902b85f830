"""Whether all processes see the same graphs and compute alike.

A user's graph that is no function of t and n would leave them waiting for ever.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from netac.comm.placement import Placement
from netac.comm.plan import digest
from netac.utils.errors import RunError

if TYPE_CHECKING:
    from mpi4py import MPI
    from scipy.sparse import csr_array

    from netac.topology import Topology

TOLD = 128      # bytes that a process tells about itself


def agreed(topology: Topology, placement: Placement, comm: MPI.Intracomm) -> Callable[[int], csr_array]:
    """t -> W_t, compared between all processes when it is first asked for (one small Allgather).

    A periodic topology is compared over one period.  The function returned raises a RunError that names the agents of
    the first process whose W_t is not that of process 0.
    """
    period = topology.period
    compared: set[int] = set()

    def matrix(t: int) -> csr_array:
        W, at = topology.matrix(t), t if topology.period is None else t % topology.period
        if at not in compared:
            if period is None:
                compared.clear()             # the rounds of one iteration ask for the same t
            compared.add(at)
            digests = np.empty((comm.size, 2), dtype=np.uint64)
            comm.Allgather(np.frombuffer(digest(W), dtype=np.uint64), digests)
            if other := np.flatnonzero((digests != digests[0]).any(axis=1)).tolist():
                must = ("it must be a function of t and n alone, random numbers seeded with t"
                        if topology.radius is None else
                        "the environment must be a function of states, actions and the random numbers it is given")
                raise RunError(f"{topology.where}: graph(t={at}) or its weights are not the same in every process: "
                               f"{must}", agent=placement.block(other[0]))
        return W

    return matrix


def differing(comm: MPI.Intracomm | None, what: str) -> str | None:
    """How `what` differs between processes, in words on process 0: "6a00 on ranks 0-3 (a), efce on rank 4 (b)".

    One small Gather; None where all say the same, on other processes, and without a launch.
    """
    if comm is None:
        return None
    mine = np.frombuffer(f"{what} {socket.gethostname()}".encode()[:TOLD].ljust(TOLD), dtype=np.uint8)
    told = np.empty((comm.size, TOLD), dtype=np.uint8) if comm.rank == 0 else None
    comm.Gather(mine, told, root=0)
    if told is None:
        return None
    said: dict[str, dict[str, list[int]]] = {}
    for rank, line in enumerate(told):
        value, _, host = line.tobytes().decode(errors="replace").strip().partition(" ")
        said.setdefault(value, {}).setdefault(host, []).append(rank)
    return None if len(said) == 1 else ", ".join(
        f"{value} on {ranks_in_words(sorted(chain.from_iterable(hosts.values())))} ({', '.join(hosts)})"
        for value, hosts in said.items())


def unlike(comm: MPI.Intracomm, held: Mapping[str, bytes]) -> tuple[int, list[str]] | None:
    """The first process that holds something else than process 0, and what, on every process; None if all are alike.

    One small Allgather; another one where they differ.

    Args:
        held: what is to be the same everywhere, by name.
    """
    def digest_of(parts: Iterable[bytes]) -> bytes:
        hashed = blake2b(digest_size=16)
        for part in parts:
            hashed.update(len(part).to_bytes(8, "little") + part)
        return hashed.digest()

    whole = digest_of(part for name in sorted(held) for part in (name.encode(), held[name]))
    told = np.empty((comm.size, 2), dtype=np.uint64)
    comm.Allgather(np.frombuffer(whole, dtype=np.uint64), told)
    others = np.flatnonzero((told != told[0]).any(axis=1)).tolist()
    if not others:
        return None
    each = comm.allgather({name: digest_of([part]) for name, part in held.items()})
    first, other = each[0], each[others[0]]
    return others[0], sorted(name for name in first.keys() | other.keys() if first.get(name) != other.get(name))


def ranks_in_words(ranks: list[int]) -> str:
    """"rank 4", "ranks 0-3" or "ranks 0, 2, 5"."""
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    run = ranks == list(range(ranks[0], ranks[-1] + 1))
    return "ranks " + (f"{ranks[0]}-{ranks[-1]}" if run else ", ".join(map(str, ranks)))
