"""Consensus: x~_i = sum_j W_t[i, j] x_j, over the graph of iteration t, between processes and inside them.

Whether a message is lost is decided where it arrives, by the network's conditions
(`netac.comm.exchange.Condition.arrive`), never in an algorithm.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from netac.comm.channels import Channel, Everyone, Neighbourhood, PointToPoint, Within
from netac.comm.exchange import COLUMNS, Condition, Exchange, UnderWay, depart
from netac.comm.gathering import Gathering
from netac.comm.ledger import Ledger
from netac.comm.link_rows import LinkRows
from netac.comm.placement import Placement
from netac.comm.plan import Plan, digest, make_plan
from netac.comm.shared_memory import Host
from netac.utils.errors import RunError

if TYPE_CHECKING:
    from mpi4py import MPI

_COUNTS, _SPEAKERS, _LINKS = "network-counts_", "speakers-of_", "links-of_"     # in the names of what is checkpointed
CACHE = 32             # weight matrices whose plans (and neighbourhood communicators) are kept
ROUNDS = 16            # of one iteration, after which it is worth while to open more than messages need
FEWEST, ENTRIES = 4, 2**23          # fewer, down to the first, where they have more entries in all than the second


class _Route:
    """The plan of one weight matrix with its channels; a second iteration, or many rounds of one, earn it shared
    memory, or a neighbourhood communicator: that takes longer to open than a few messages take."""

    def __init__(self, plan: Plan, comm: MPI.Intracomm | None, host: Host | None):
        self.plan, self._comm, self._host = plan, comm, host
        self._graph: MPI.Distgraphcomm | None = None
        self._channels: dict[tuple[int, str], Channel] = {}      # by width and type of numbers
        self._turn = 0                                           # of the last exchange
        self._iterations = self._exchanges = 0
        self.sums: _Route | None = None                         # of the same graph, whose mixtures are sums

    def count(self, turn: int) -> None:
        """It is used in an iteration, the network's `turn`-th."""
        self._iterations, self._turn = self._iterations + (turn != self._turn), turn
        self._exchanges += 1

    @property
    def _lasting(self) -> bool:
        return self._iterations > 1 or self._exchanges > ROUNDS

    def channel(self, width: int, dtype: np.dtype) -> Channel:
        channel = self._channels.get((width, dtype.char))
        if channel is None or (self._lasting and isinstance(channel, PointToPoint)):
            channel = self._channels[width, dtype.char] = self._open(width, dtype)
        return channel

    def _open(self, width: int, dtype: np.dtype) -> Channel:
        if self._comm is None or self._host is None:
            return Within(self.plan, width, dtype)
        if not self._lasting:
            return PointToPoint(self.plan, width, dtype, self._comm)
        return self._host.channel(self.plan, width, dtype) or self._neighbourhood(width, dtype, self._comm)

    def _neighbourhood(self, width: int, dtype: np.dtype, comm: MPI.Intracomm) -> Neighbourhood:
        if self._graph is None:
            self._graph = comm.Create_dist_graph_adjacent([rank for rank, _ in self.plan.sources],
                                                          [rank for rank, _ in self.plan.targets], reorder=False)
        return Neighbourhood(self.plan, width, dtype, self._graph)

    def close(self) -> None:
        if self.sums is not None:
            self.sums.close()
        for channel in self._channels.values():
            channel.close()
        if self._graph is not None:
            self._graph.Free()


class Network:
    """The agents' communication.

    Args:
        matrix: t -> W_t as a sparse (N, N) array; the same object for a graph that recurs, where that is known.
        placement: which agents are here.
        ledger: where traffic is counted.
        comm: the launch's communicator; None in a single process.
        conditions: what happens to messages, in the order in which they pass them on leaving; none: they all arrive.
        seed: the run's, for the conditions.
    """

    def __init__(self, matrix: Callable[[int], csr_array], placement: Placement, ledger: Ledger,
                 comm: MPI.Intracomm | None = None, conditions: Sequence[Condition] = (), seed: int = 0):
        self._matrix, self._placement, self._ledger, self._comm = matrix, placement, ledger, comm
        self._conditions, self._seed = tuple(conditions), seed
        self._counts: dict[str, np.ndarray] = {}     # what has happened to the agents' messages
        self._everyone: dict[tuple[int, str], Everyone] = {}      # by width and type of numbers
        self._host = None if comm is None else Host(comm, placement)
        self._routes: OrderedDict[bytes, _Route] = OrderedDict()                        # by the matrix's digest
        self._entries = 0                                                               # of their matrices
        self._known: deque[tuple[csr_array, bytes]] = deque(maxlen=CACHE)               # matrices met, oldest first
        self._now: int | None = None                 # the iteration of the last exchange, its number in it, its route
        self._round = self._turn = 0                 # and how many iterations there were until then
        self._last: csr_array | None = None
        self._here: _Route | None = None
        self._pending: Channel | UnderWay | None = None
        self._values: np.ndarray | None = None       # what was posted: where `settle` puts the mixture

    def post(self, t: int, values: np.ndarray, what: str = "x", sums: bool = False) -> None:
        """Send `values` (n, width) to the neighbours of iteration t; they may not change until `wait` or `settle`.

        Args:
            what: a name, under which conditions that remember keep this apart from what else is exchanged.
            sums: whether `wait` shall give the sums of the neighbours' values in the place of W_t values.

        Raises:
            RunError: another exchange is under way.
        """
        if self._values is not None:
            raise RunError("an exchange is already under way: wait for it, or settle it, before the next is posted")
        route = self._route(t)
        if sums:
            route = self._summing(route)
        plan = route.plan
        self._values = np.zeros_like(values) if sums and plan.silent else values
        if self._conditions:
            self._pending = self._send(t, route, values, what, sums)
            return
        if plan.silent or not values.shape[1]:
            return
        self._pending = channel = route.channel(values.shape[1], values.dtype)
        self._ledger.consensus(plan.degrees, values.itemsize * channel.width)
        if channel.messages:
            self._ledger.wire(channel.messages, channel.bytes)
        channel.post(values)

    def _send(self, t: int, route: _Route, values: np.ndarray, what: str, sums: bool) -> UnderWay | None:
        """Send through the conditions; None where there is nothing to mix."""
        if not values.shape[1]:
            return None
        plan, own, channel = route.plan, self._placement.local, None
        exchange = Exchange.of(t, self._round, self._seed, own, plan, values, what, sums, self._of_all, self._counts)
        self._round += 1
        depart(self._conditions, exchange)
        self._ledger.consensus_of(own, exchange.messages, exchange.messages * -(-exchange.bits // 8))
        if not plan.silent and self._comm is not None:
            travelling = exchange.travelling()
            channel = route.channel(travelling.shape[1], travelling.dtype)
            self._ledger.wire(channel.messages, channel.bytes)
            channel.post(travelling)
        return UnderWay(self._conditions, exchange, channel)

    def _of_all(self, own: np.ndarray) -> np.ndarray:
        """(n, k) of this process's agents -> (N, k) of all, for conditions: control traffic, which is not counted."""
        if self._comm is None or self._host is None:
            return own
        key = own.shape[1], own.dtype.char
        if key not in self._everyone:
            self._everyone[key] = self._host.everyone(own.shape[1], own.dtype)
        return self._everyone[key].gather(own).copy()

    def wait(self) -> np.ndarray:
        """The mixture W_t values, (n, width), of what was posted last; with no edges the posted array itself.

        Of `post` with `sums` it is the sum over an agent's neighbours; with no edges 0.
        """
        values, channel = self._values, self._pending
        assert values is not None, "nothing has been posted"
        self._values = self._pending = None
        return values if channel is None else channel.mixture()

    def settle(self) -> None:
        """Complete an exchange that is under way, in place: the posted values become their mixture."""
        if self._pending is None or self._values is None:
            self._values = None
        else:
            values = self._values
            values[:] = self.wait()

    def mix(self, t: int, values: np.ndarray, rounds: int = 1, what: str = "x") -> np.ndarray:
        """matrix_power(W_t, rounds) @ values, one exchange per round; `what` as in `post`."""
        for _ in range(rounds):
            self.post(t, values, what)
            values = self.wait()
        return values

    @property
    def gathering(self) -> Gathering:
        """Collects what is only shown to the user, and not counted."""
        return Gathering(self._placement, self._comm)

    def close(self) -> None:
        """Give back the communicators."""
        while self._routes:
            self._routes.popitem()[1].close()
        while self._everyone:
            self._everyone.popitem()[1].close()

    def degrees(self, t: int) -> np.ndarray:
        """(n,) how many neighbours the agents of this process hear in iteration t."""
        return self._route(t).plan.heard_by

    def heard(self, t: int) -> list[np.ndarray]:
        """(n) the neighbours that each agent of this process hears in iteration t, ascending."""
        return np.split(self._route(t).plan.links.speaker, np.cumsum(self.degrees(t))[:-1])

    def _route(self, t: int) -> _Route:
        if t != self._now:                           # an iteration may have several rounds
            self._now, self._round, self._turn, matrix = t, 0, self._turn + 1, self._matrix(t)
            if matrix is not self._last:             # and the next one the same graph
                key = self._key(matrix)
                self._routes.move_to_end(key)
                self._last, self._here = matrix, self._routes[key]
        route = self._here
        assert route is not None, "of this graph"
        route.count(self._turn)
        return route

    def _summing(self, route: _Route) -> _Route:
        """The route over the same graph on which every neighbour has weight 1, and oneself 0."""
        if route.sums is None:
            assert self._last is not None, "the matrix of this route"
            route.sums = _Route(make_plan(neighbours(self._last), self._placement), self._comm, self._host)
        route.sums.count(self._turn)
        return route.sums

    def _key(self, matrix: csr_array) -> bytes:
        """The key of a matrix in `_routes`; graphs that recur in turn are found among the first that are known."""
        for number, (known, key) in enumerate(self._known):
            if known is matrix:
                self._known.rotate(-1 - number)      # as the newest, without a search for what is between
                return key
        return self._learn(matrix)

    def _learn(self, matrix: csr_array) -> bytes:
        """The key of a matrix that is a new object, its digest: graphs that recur are known again, however made."""
        key = digest(matrix)
        if key not in self._routes:
            self._routes[key] = _Route(make_plan(matrix, self._placement), self._comm, self._host)
            self._entries += matrix.nnz
        while len(self._routes) > CACHE or (self._entries > ENTRIES and len(self._routes) > FEWEST):
            oldest, route = self._routes.popitem(last=False)
            route.close()
            self._entries -= int(route.plan.degrees.sum()) + self._placement.agents
            self._known = deque(((known, kept) for known, kept in self._known if kept != oldest), maxlen=CACHE)
        self._known.append((matrix, key))
        return key

    # --- checkpoints ---

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """What each agent of this process keeps for the conditions, (n, D) each; all processes ask together."""
        found = {_COUNTS + column: count[:, None] for column, count in self._counts.items()}
        for prefix, condition in self._named():
            found |= {prefix + name: rows for name, rows in condition.rows.items()}
            for name, rows in condition.rows.items():
                if rows.ndim != 2 or len(rows) != len(self._placement.local):
                    raise RunError(f"network.{condition.name}: what it keeps as {name!r} has the shape {rows.shape}, "
                                   f"in the place of ({len(self._placement.local)}, D): a row for each agent of this "
                                   "process")
            for name, kept in condition.link_rows.items():
                kept.widen(self._most(kept.speakers.shape[1]))
                found |= {prefix + _SPEAKERS + name: kept.speakers,
                          prefix + _LINKS + name: kept.numbers.reshape(len(kept.numbers), -1)}
        return found

    def _most(self, own: int) -> int:
        """The largest of all processes' numbers."""
        return own if self._comm is None else int(max(self._comm.allgather(own)))

    def state(self) -> dict[str, np.ndarray]:
        """What the conditions keep besides, the same in every process."""
        return {prefix + name: array for prefix, condition in self._named()
                for name, array in condition.state().items()}

    def restore(self, kept: Mapping[str, np.ndarray]) -> None:
        """Take up a checkpoint: after it there are the `rows` that it holds, with the agents' numbers in them."""
        local = self._placement.local
        own = slice(local.start, local.stop)
        self._counts.update({column: count[own, 0].copy() for column, count in _under(f"rows_{_COUNTS}", kept).items()})
        for prefix, condition in self._named():
            rows = _under(f"rows_{prefix}", kept)
            speakers, numbers = _under(_SPEAKERS, rows), _under(_LINKS, rows)
            condition.rows.update({name: array[own].copy() for name, array in rows.items()
                                   if not name.startswith((_SPEAKERS, _LINKS))})
            for name, of in speakers.items():
                if of.shape[1]:                        # else nobody had been heard yet, and they are made anew
                    condition.link_rows[name] = LinkRows.of_checkpoint(of[own], numbers[name][own])
            condition.restore(_under(prefix, kept), rows)

    def _named(self) -> list[tuple[str, Condition]]:
        """The conditions, with that under which a checkpoint holds what they keep: none begins as another does."""
        return [(f"network_{k}_{condition.name}_", condition) for k, condition in enumerate(self._conditions)]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of metrics.csv that the conditions fill."""
        filled = {column for condition in self._conditions for column in condition.columns}
        return tuple(column for column in COLUMNS if column in filled)

    def told(self) -> dict[str, np.ndarray] | None:
        """What has happened to messages so far, (N,) by column of metrics.csv, on process 0; all ask together."""
        found = {name: self.gathering.rows(count[:, None]) for name, count in sorted(self._counts.items())}
        return None if self._placement.rank else {name: count[:, 0] for name, count in found.items()
                                                  if count is not None}


def neighbours(matrix: csr_array) -> csr_array:
    """1 where the matrix has an entry off its diagonal."""
    found = csr_array(matrix, copy=True)
    found.data[:] = 1.0
    found.setdiag(0.0)
    found.eliminate_zeros()
    return found


def _under(prefix: str, kept: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays whose names begin with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in kept.items() if name.startswith(prefix)}
