"""What the rules that need a symmetric graph share."""

from __future__ import annotations

from netac.topology.edges import Graph
from netac.topology.labels import is_from_file
from netac.utils.errors import InputError


def only_undirected(graph: Graph, rule: str) -> None:
    """InputError where the graph is directed."""
    if graph.is_directed():
        raise InputError(f"the weight rule {rule!r} needs an undirected graph and this one is directed",
                         valid=("directed = false, which drops the directions" if is_from_file(graph) else
                                "graph.to_undirected()") + ', or weights = "file" with a weight on every '
                                'edge, or weights = "out-degree" with push-sum = true in the table [network]')
