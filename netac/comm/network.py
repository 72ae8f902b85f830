"""Consensus: x~_i = sum_j W_t[i, j] x_j, over the graph of iteration t, between processes and inside them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from netac.comm.channels import Channel, Neighbourhood, PointToPoint, Within
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.comm.plan import Plan, digest, make_plan
from netac.comm.shared_memory import Host

CACHE = 32   # weight matrices whose plans (and neighbourhood communicators) are kept


class _Route:
    """The plan of one weight matrix with its channels; the second use earns it shared memory, or a neighbourhood
    communicator."""

    def __init__(self, plan: Plan, comm, host: Host | None):
        self.plan, self._comm, self._host, self._graph = plan, comm, host, None
        self._channels: dict[tuple[int, str], Channel] = {}      # by width and type of numbers
        self.uses = 0

    def channel(self, width: int, dtype: np.dtype) -> Channel:
        channel = self._channels.get((width, dtype.char))
        if channel is None or (self.uses == 2 and isinstance(channel, PointToPoint)):
            channel = self._channels[width, dtype.char] = self._open(width, dtype)
        return channel

    def _open(self, width: int, dtype: np.dtype) -> Channel:
        if self._comm is None:
            return Within(self.plan, width, dtype)
        if self.uses < 2:
            return PointToPoint(self.plan, width, dtype, self._comm)
        return self._host.channel(self.plan, width, dtype) or self._neighbourhood(width, dtype)

    def _neighbourhood(self, width: int, dtype: np.dtype) -> Neighbourhood:
        if self._graph is None:
            self._graph = self._comm.Create_dist_graph_adjacent([rank for rank, _ in self.plan.sources],
                                                                [rank for rank, _ in self.plan.targets], reorder=False)
        return Neighbourhood(self.plan, width, dtype, self._graph)

    def close(self) -> None:
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
    """

    def __init__(self, matrix: Callable[[int], csr_array], placement: Placement, ledger: Ledger, comm=None):
        self._matrix, self._placement, self._ledger, self._comm = matrix, placement, ledger, comm
        self._host = None if comm is None else Host(comm, placement)
        self._routes: OrderedDict[bytes, _Route] = OrderedDict()
        self._keys: dict[int, tuple[csr_array, bytes]] = {}      # by id of the matrix, for `_routes`
        self._now: int | None = None                 # the iteration of the last exchange, and its route
        self._last: csr_array | None = None
        self._here: _Route | None = None
        self._pending: Channel | None = None
        self._values: np.ndarray | None = None       # what was posted: where `settle` puts the mixture

    def post(self, t: int, values: np.ndarray) -> None:
        """Send `values` (n, width) to the neighbours of iteration t; they may not change until `wait` or `settle`."""
        assert self._values is None, "an exchange is already under way"
        route = self._route(t)
        plan = route.plan
        self._values = values
        if plan.silent or not values.shape[1]:
            return
        self._pending = channel = route.channel(values.shape[1], values.dtype)
        self._ledger.consensus(plan.degrees, values.itemsize * channel.width)
        if channel.messages:
            self._ledger.wire(channel.messages, channel.bytes)
        channel.post(values)

    def wait(self) -> np.ndarray:
        """The mixture W_t values, (n, width), of what was posted last; with no edges the posted array itself."""
        values, channel = self._values, self._pending
        self._values = self._pending = None
        return values if channel is None else channel.mixture()

    def settle(self) -> None:
        """Complete an exchange that is under way, in place: the posted values become their mixture."""
        if self._pending is None:
            self._values = None
        else:
            values = self._values
            values[:] = self.wait()

    def mix(self, t: int, values: np.ndarray, rounds: int = 1) -> np.ndarray:
        """matrix_power(W_t, rounds) @ values, one exchange per round."""
        for _ in range(rounds):
            self.post(t, values)
            values = self.wait()
        return values

    def close(self) -> None:
        """Give back the communicators."""
        while self._routes:
            self._routes.popitem()[1].close()

    def _route(self, t: int) -> _Route:
        if t != self._now:                           # an iteration may have several rounds
            self._now, matrix = t, self._matrix(t)
            if matrix is not self._last:             # and the next one the same graph
                known, key = self._keys.get(id(matrix), (None, b""))
                if known is not matrix:
                    key = self._learn(matrix)
                self._routes.move_to_end(key)
                self._last, self._here = matrix, self._routes[key]
        route = self._here
        if route.uses < 2:
            route.uses += 1
        return route

    def _learn(self, matrix: csr_array) -> bytes:
        """The key of a matrix that is a new object, its digest: graphs that recur are known again, however they were made."""
        key = digest(matrix)
        if key not in self._routes:
            self._routes[key] = _Route(make_plan(matrix, self._placement), self._comm, self._host)
        if len(self._routes) > CACHE or len(self._keys) >= CACHE:
            self._keys.clear()
        if len(self._routes) > CACHE:
            self._routes.popitem(last=False)[1].close()
        self._keys[id(matrix)] = (matrix, key)
        return key
