"""Networks with built-in conditions, of one process and of several that are computed one after the other."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from netac import topology
from netac.comm.exchange import Condition, Exchange, UnderWay, depart
from netac.comm.ledger import Ledger
from netac.comm.network import Network, neighbours
from netac.comm.placement import Placement
from netac.comm.plan import make_plan
from netac.experiment.network_table import CONDITIONS, INSECURE, Conditions, spelled_out
from netac.topology import Topology
from netac.topology.edges import EdgeGraph, Graph, from_edges, links, weight_matrix
from netac.utils import plugins

_NUMBERS = count()


class Watching(Condition):
    """Changes nothing; where it comes first it sees what has arrived in the end."""

    def arrive(self, exchange: Exchange) -> None:
        n, N = len(exchange.agents), len(exchange.plan.degrees)
        self.arrived = np.zeros((n, N), dtype=bool)
        self.arrived[exchange.links.hearer, exchange.links.speaker] = exchange.arrived


def made(graph: Topology, table: dict[str, Any], iterations: int = 1000) -> list[Condition]:
    """The conditions of a table [network]."""
    parts = [(key, plugins.built_in(CONDITIONS, {"name": key} | value, "network condition", f"network.{key}"))
             for key, value in sorted(spelled_out(table).items()) if key != INSECURE]
    return Conditions(tuple(parts), table.get(INSECURE, False)).make(graph, iterations)


def network(graph: Topology, table: dict[str, Any], *first: Condition, seed: int = 3) -> Network:
    """In one process, with other conditions before those of the table."""
    return Network(graph.matrix, Placement(graph.agents), Ledger(graph.agents),
                   conditions=[*first, *made(graph, table)], seed=seed)


def of(*graphs: EdgeGraph) -> Topology:
    """The graphs in turn, with weights whose rows sum to 1: W_ij = 1 / (1 + how many i hears)."""
    def rule(graph: Graph):
        hearer, heard = links(graph)
        return weight_matrix(len(graph), hearer, heard, 1.0 / (1 + np.bincount(hearer, minlength=len(graph)))[hearer])

    return Topology("given", len(graphs[0]), "given", len(graphs), {"name": "given", "number": next(_NUMBERS)},
                    lambda t: graphs[t % len(graphs)], rule, foreign=False)


def digraph(n: int, more: int, seed: int = 0) -> EdgeGraph:
    """A directed ring with `more` random edges besides: strongly connected."""
    rng, ring = np.random.default_rng(seed), np.arange(n)
    ends = rng.integers(0, n, (2, more))
    return from_edges(n, (ring, (ring + 1) % n), (ends[0], ends[1]), directed=True)


class _Given:
    def __init__(self, needed: np.ndarray):
        self._needed = needed

    def received(self) -> np.ndarray:
        return self._needed


class Processes:
    """What each of p processes would compute, from the rows of its own agents and what travels."""

    def __init__(self, graph: Topology, table: dict[str, Any], p: int, seed: int = 3):
        self.graph, self.seed = graph, seed
        self.placements = [Placement(graph.agents, p, rank) for rank in range(p)]
        self.conditions = [made(graph, table) for _ in range(p)]

    def mix(self, t: int, values: np.ndarray, what: str = "x", round: int = 0, sums: bool = False) -> np.ndarray:
        """All agents' mixture, (N, width)."""
        matrix, exchanges = self.graph.matrix(t), []
        if sums:
            matrix = neighbours(matrix)
        for placement, conditions in zip(self.placements, self.conditions, strict=True):
            own = values[placement.local.start:placement.local.stop].copy()
            exchange = Exchange.of(t, round, self.seed, placement.local, make_plan(matrix, placement), own, what, sums,
                                   lambda _: values)
            depart(conditions, exchange)
            exchanges.append(exchange)
        travelling = np.concatenate([exchange.travelling() for exchange in exchanges])
        return np.concatenate([
            UnderWay(conditions, exchange, _Given(travelling[exchange.plan.agents])).mixture()
            for conditions, exchange in zip(self.conditions, exchanges, strict=True)])


def load(name: Any, agents: int) -> Topology:
    """A built-in topology."""
    return topology.load(name, agents)
