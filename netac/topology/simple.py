"""From a graph as a file has it, with labels, parallel edges and loops, to a simple graph on the agents 0..n-1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import networkx as nx

from netac.topology.labels import give, listed
from netac.topology.rounding import ROUNDING, without_rounding
from netac.utils.errors import InputError

Parallel = Literal["merge", "sum", "refuse"]
"""What becomes of edges between the same two nodes: one that counts once, one with the sum of their weights, an error.
"""


def simple(found: nx.Graph, path: Path, directed: bool | None = None, parallel: Parallel = "merge",
           rounding: float = ROUNDING) -> nx.Graph:
    """The graph with agents for labels and one edge at most between two of them; it has labels and notes to be told.

    Labels become agents: as the integers they are where they are exactly 0..n-1, else in the order of `found`.  A loop
    gives the agent's own weight, `self_weight`; one without weight says nothing and is left out.

    Args:
        found: as the file has it, any class of networkx.
        path: the file, for messages.
        directed: what the result shall be; by default what `found` is.  An undirected edge is a directed one each way;
            opposite edges are parallel where directions are dropped.
        parallel: see `Parallel`.
        rounding: how far from 1 the rows and columns of weights may sum that are to be doubly stochastic.

    Raises:
        InputError: no nodes; parallel edges that are refused, or whose weights contradict each other.
    """
    labels = [str(label) for label in found]
    if not labels:
        raise InputError("holds no nodes", file=path)
    numbers = _numbers(labels)
    labels = [label for _, label in sorted(zip(numbers, labels, strict=True))]
    agents = dict(zip(found, numbers, strict=True))
    one_way = found.is_directed() if directed is None else directed
    graph: nx.Graph = nx.DiGraph() if one_way else nx.Graph()
    graph.add_nodes_from((agents[node], data) for node, data in found.nodes(data=True))
    several: dict[tuple[int, int], list[Any]] = {}
    for u, v, data in _edges(found, agents, each_way=one_way and not found.is_directed()):
        if graph.has_edge(u, v):
            pair = (u, v) if one_way else (min(u, v), max(u, v))
            several.setdefault(pair, [graph.edges[pair].get("weight")]).append(data.get("weight"))
        else:
            graph.add_edges_from([(u, v, data)])
    notes = []
    for pair, weights in several.items():
        weight = _together(weights, parallel, path, [labels[end] for end in pair])
        if weight is not None:
            graph.edges[pair]["weight"] = weight
    if several and parallel == "merge":
        which = listed([labels[end] for end in next(iter(several))])
        more = {1: "", 2: " and 1 more pair of nodes"}.get(len(several), f" and {len(several) - 1} more pairs of nodes")
        notes.append(f'{path}: parallel edges count once (parallel = "merge"): between {which}{more}')
    bare = _without_loops(graph)
    if bare:
        notes.append(f"{path}: loops without weight are left out, as agents always hear themselves: at "
                     f"{listed([labels[agent] for agent in bare])}")
    without_rounding(graph, rounding)
    give(graph, labels, notes)
    return graph


def _numbers(labels: Sequence[str]) -> list[int]:
    """The agent of every label."""
    try:
        numbers = [int(label) for label in labels]
    except ValueError:
        numbers = []
    return numbers if sorted(numbers) == list(range(len(labels))) else list(range(len(labels)))


def _edges(found: nx.Graph, agents: dict[Any, int], each_way: bool) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """The edges between agents with their attributes; weights that are written as text as numbers."""
    for node, other, data in found.edges(data=True):
        u, v, own = agents[node], agents[other], dict(data)
        if isinstance(own.get("weight"), str):
            own["weight"] = _number(own["weight"])
        yield from chain([(u, v, own)], [(v, u, dict(own))] if each_way and u != v else [])


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _together(weights: list[Any], parallel: Parallel, path: Path, ends: list[str]) -> Any:
    """The one weight of parallel edges, None if they have none."""
    between = f"between {ends[0]!r} and {ends[1]!r}"
    if parallel == "refuse":
        raise InputError(f"there are {len(weights)} parallel edges {between}", file=path, key="parallel",
                         found=parallel, valid='one edge between two nodes, parallel = "merge" or parallel = "sum"')
    if all(weight == weights[0] for weight in weights) and (parallel == "merge" or weights[0] is None):
        return weights[0]
    numbers = [weight for weight in weights if isinstance(weight, Real)]
    if len(numbers) < len(weights):
        raise InputError(f"of the parallel edges {between} some have no weight that is a number", file=path,
                         found=weights, valid="a weight on each of them, or on none")
    if parallel == "merge":
        raise InputError(f"the parallel edges {between} have different weights", file=path, found=weights,
                         valid='parallel = "sum", which adds them, or one edge between two nodes')
    return float(sum(numbers))


def _without_loops(graph: nx.Graph) -> list[int]:
    """Takes the loops out of a graph, as their agents' own weights; the agents whose loops have no weight."""
    loops = list(nx.selfloop_edges(graph, data="weight"))
    for agent, _, weight in loops:
        if weight is not None:
            graph.nodes[agent].setdefault("self_weight", weight)
    graph.remove_edges_from([(agent, agent) for agent, _, _ in loops])
    return [agent for agent, _, weight in loops if weight is None]
