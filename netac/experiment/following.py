"""Graphs that follow the agents about: of a rehearsal, before anything runs, and of a run, as its iterations begin.

With `topology = { name = "environment", radius = R }` agents hear each other in iteration t whose distance in the first
of the E games is at most R as the iteration begins: after the games that ended before have begun anew, before anybody
acts, and the same in all rounds of the iteration.  Every process plays these games, so every process knows the graph
without a message, and a run that is resumed finds it in the games' state.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from netac.envs import BatchedEnvironment
from netac.envs._batched import drawn_evenly
from netac.results.tables import Row
from netac.sampling.protocol import RUNNING
from netac.topology.connectivity import joined
from netac.topology.edges import EdgeGraph, edges_of, of_pairs
from netac.topology.sequence import PERIODIC_CACHE
from netac.utils.distances import near
from netac.utils.errors import InputError, RunError, quietly, raised
from netac.utils.streams import Purpose, generator


class Rehearsal:
    """Where agents are in a game in which everybody draws actions evenly, after t joint steps.

    It begins as the first game of a run with this seed does, so that its first graph is the run's.

    Args:
        make: makes as many games as it is told.
        seed: the run's.
    """

    def __init__(self, make: Callable[[int], BatchedEnvironment], seed: int):
        self._make, self._seed, self._t = make, seed, -1
        self._game: BatchedEnvironment | None = None
        self._at = np.empty((0, 1, 0))

    def positions(self, t: int) -> np.ndarray:
        """(N, 1, d); a step before the last one begins the game anew.

        Raises:
            InputError: the game cannot be played.
        """
        try:
            if t < self._t or self._game is None:
                self._begin()
            while self._t < t:
                self._step()
        except (InputError, KeyboardInterrupt):
            raise
        except BaseException as error:     # a user's environment may do anything
            raise InputError(f"a game with random actions fails in step {self._t + 1}: {raised(error)}",
                             key="env") from error
        return self._at

    def _begin(self) -> None:
        if self._game is not None:
            quietly(self._game.close)
        self._game = self._make(1)
        self._game.begin(self._seed, RUNNING)
        self._rng = generator(self._seed, Purpose.REHEARSAL)
        self._t, self._at = 0, where(self._game)

    def _step(self) -> None:
        game: Any = self._game
        done = game.step(drawn_evenly(game, self._rng)).done
        if done.any():
            game.restart(done)
        self._t, self._at = self._t + 1, where(game)


class Following:
    """Who is near whom as the iterations of a run begin, and how connected that made them.

    Args:
        games: those that the agents learn from.
        radius: how near agents must be to hear each other.
        told: whether this process tells what the graphs were.
    """

    columns = ("neighbours", "connected")

    def __init__(self, games: BatchedEnvironment, radius: float, told: bool):
        self._games, self._radius, self._told = games, radius, told
        self._firsts: OrderedDict[bytes, int] = OrderedDict()        # of the graphs met last, their first iterations
        self._t = self._first = -1
        self._graph = EdgeGraph(games.agents, *np.empty((2, 0), dtype=np.int64))
        self._alone = False                                  # whether that graph connects all agents
        self._row, self._all = np.zeros(3), np.zeros(3)      # iterations, neighbours of an agent, connected graphs
        self._parts = np.arange(games.agents)                # of the union since it was last connected
        self._stretch, self._longest = 0, 0                  # iterations since then, and the most that it took

    def begin(self, t: int) -> None:
        """Iteration t begins.

        Raises:
            RunError: somebody is nowhere.
        """
        at = where(self._games)
        if not np.isfinite(at).all():
            agent = int(np.argwhere(~np.isfinite(at))[0, 0])
            raise RunError(f"the environment's `positions` hold {at[agent, 0].tolist()}", agent=agent)
        pairs, before = near(at, self._radius)[0], self._first
        self._t, self._first = t, self._known(t, pairs)
        if self._first != before:
            self._graph = of_pairs(pairs)
        if self._told:
            self._count(self._first != before)

    def graph(self, t: int) -> EdgeGraph:
        """The graph of iteration t, which is under way, or of the first one like it."""
        assert t in (self._t, self._first), "the graphs of other iterations are not kept"
        return self._graph

    def first(self, t: int) -> int:
        """The first iteration that is known to have the graph of t, which is under way."""
        assert t == self._t, "the graphs of other iterations are not kept"
        return self._first

    def _known(self, t: int, pairs: np.ndarray) -> int:
        """`first` of who is near whom, (N, N)."""
        key = hashlib.blake2b(np.packbits(pairs).tobytes(), digest_size=16).digest()
        first = self._firsts.setdefault(key, t)
        self._firsts.move_to_end(key)
        if len(self._firsts) > PERIODIC_CACHE:
            self._firsts.popitem(last=False)
        return first

    def _count(self, changed: bool) -> None:
        edges, n = edges_of(self._graph), self._graph.n
        if changed:
            self._alone = not joined(np.arange(n), *edges).any()
        found = np.array([1.0, 2.0 * len(edges[0]) / n, self._alone])
        self._row += found
        self._all += found
        self._stretch += 1
        self._parts = np.zeros(n, dtype=np.int64) if self._alone else joined(self._parts, *edges)
        if not self._parts.any():
            self._longest = max(self._longest, self._stretch)
            self._parts, self._stretch = np.arange(n), 0

    def take_row(self) -> Row:
        """Means over the iterations since the last call, None where there were none."""
        iterations, *sums = self._row.tolist()
        self._row = np.zeros(3)
        return {name: total / iterations if iterations else None
                for name, total in zip(self.columns, sums, strict=True)}

    def summary(self) -> Row:
        """Means over all iterations, and after how many at most graphs had together connected all agents again."""
        iterations, neighbours, connected = self._all.tolist()
        longest = max(self._longest, self._stretch)
        return {"neighbours": neighbours / iterations, "connected": connected / iterations,
                "connected_within": longest if self._longest else None}

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps, on the process that tells."""
        return {"following": np.array([*self._row, *self._all, self._stretch, self._longest]),
                "following_parts": self._parts}

    def restore(self, kept: Mapping[str, np.ndarray]) -> None:
        """Take up what `state` gave."""
        self._row, self._all, (stretch, longest) = np.split(kept["following"].copy(), [3, 6])
        self._stretch, self._longest, self._parts = int(stretch), int(longest), kept["following_parts"].copy()


def where(games: Any) -> np.ndarray:
    """Where agents are in the first game, (N, 1, d)."""
    return np.array(games.positions()[:, :1], dtype=float)
