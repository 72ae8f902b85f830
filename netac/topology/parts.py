"""What families are handed: topologies that others are made of, and the graph that an environment has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from netac.topology.edges import EdgeGraph, Graph, as_networkx, edges_of
from netac.topology.sequence import Topology

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class Neighbours:
    """The graph that an environment has, for every iteration.

    Args:
        at: t -> graph on the agents 0..N-1.
        period: 1 where it is always the same; None where no period is known.
    """

    at: Callable[[int], Graph]
    period: int | None


class Part:
    """A loaded topology that takes part in another one; its latest graphs are kept.

    Attributes:
        topology: what was loaded, for as many agents as the whole has.
    """

    def __init__(self, topology: Topology):
        self.topology = topology

    @property
    def period(self) -> int | None:
        """Its period, None where none is known."""
        return self.topology.period

    def graph(self, t: int) -> nx.Graph:
        """Its graph at t, frozen; of a periodic one each graph is built once."""
        return _graph(self, self._phase(t))

    def as_given(self, t: int) -> Graph:
        """The same as its family gives it, perhaps as arrays; built as seldom."""
        return _as_given(self, self._phase(t))

    def directed(self, t: int) -> bool:
        """Whether that graph is directed."""
        return self.as_given(t).is_directed()

    def edges(self, t: int) -> np.ndarray:
        """That graph's edges in the order in which it lists them, (edges, 2) int64; read-only."""
        return _edges(self, self._phase(t))

    def _phase(self, t: int) -> int:
        """The first iteration at which its graph is the one at t, as far as its period tells."""
        return t if self.period is None else t % self.period


@lru_cache(maxsize=16)
def _graph(part: Part, t: int) -> nx.Graph:
    """The networkx graph, frozen: it is handed out again."""
    import networkx as nx
    return nx.freeze(as_networkx(_as_given(part, t)))


@lru_cache(maxsize=16)
def _as_given(part: Part, t: int) -> Graph:
    """The graph; one of networkx is frozen."""
    graph = part.topology.as_given(t)
    if isinstance(graph, EdgeGraph):
        return graph
    import networkx as nx
    return nx.freeze(graph)


@lru_cache(maxsize=16)
def _edges(part: Part, t: int) -> np.ndarray:
    """The edges as one array."""
    edges = np.stack(edges_of(_as_given(part, t)), axis=1)
    edges.flags.writeable = False
    return edges
