"""Graphs as text: lists of edges, "u v" a line, and lists of neighbours, "u v w ..." a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import networkx as nx

from netac.topology.lines import SPACES, Header, Row, header_of, number_of, rows
from netac.topology.simple import Parallel, simple
from netac.utils.errors import InputError
from netac.utils.files import read_text

EDGE = ('"u v", "u v weight", or a first line that names the columns, as "source,target,weight"; a matrix W is read '
        "from .npy")


def edge_list(path: Path, *, directed: bool = False, parallel: Parallel = "merge") -> nx.Graph:
    """Text with one edge "u v" or "u v weight" a line; a label alone is an agent without edges.

    Labels are separated by white space and commas, by semicolons, or, if they hold spaces, by tabs or commas.  A #
    after white space starts a comment.  With `directed`, "u v" means that v hears u.
    """
    return _edges_of(path, [";", SPACES, "\t", ","], directed, parallel)


def csv(path: Path, *, directed: bool = False, parallel: Parallel = "merge") -> nx.Graph:
    """A table with one edge a line, `edge_list` with commas, semicolons or tabs; a first line may name the columns.

    Columns that are neither an end of the edge nor its weight are attributes of the edges.
    """
    return _edges_of(path, [";", ",", "\t", SPACES], directed, parallel)


def adjacency_list(path: Path, *, directed: bool = False, parallel: Parallel = "merge") -> nx.Graph:
    """Text with an agent and its neighbours "u v w ..." a line; undirected neighbours may each list the other.

    With `directed`, v and w hear u.
    """
    found = rows(read_text(path), [";", SPACES, "\t", ","], lambda row: len(row.cells) > 1)
    graph = nx.MultiDiGraph() if directed else nx.MultiGraph()
    listed: set[str] = set()
    for row in found:
        node, *neighbours = row.cells
        graph.add_node(node)
        graph.add_edges_from((node, other) for other in neighbours
                             if directed or other == node or other not in listed or not graph.has_edge(other, node))
        listed.add(node)
    return simple(graph, path, directed, parallel)


def _edges_of(path: Path, separators: Sequence[str], directed: bool, parallel: Parallel) -> nx.Graph:
    """The graph of a text with one edge a row."""
    found = rows(read_text(path), separators, _is_edge)
    header = header_of(found[0], found[1:]) if found else None
    graph = nx.MultiDiGraph() if directed else nx.MultiGraph()
    for row in found[1:] if header else found:
        _add(graph, row, header or Header(), path)
    return simple(graph, path, directed, parallel)


def _is_edge(row: Row) -> bool:
    """Whether a row is an edge without a header to say so."""
    return 1 < len(row.cells) <= 3 and all(number_of(cell) is not None for cell in row.cells[2:])


def _add(graph: nx.Graph, row: Row, header: Header, path: Path) -> None:
    """Adds the edge of a row to the graph, or its lone agent."""
    cells = dict(enumerate(row.cells))
    if list(cells) == [header.ends[0]] and row.data is None:
        graph.add_node(row.cells[0])
        return
    ends = [cells.get(at, "") for at in header.ends]
    given = {name: cells[at] for at, name in header.attributes.items() if cells.get(at)}
    attributes = {name: text if (number := number_of(text)) is None else number for name, text in given.items()}
    if not all(ends) or cells.keys() - {*header.ends, *header.attributes} or isinstance(attributes.get("weight"), str):
        raise InputError(f"line {row.number} is no edge", file=path, found=row.text, valid=EDGE)
    graph.add_edges_from([(*ends, attributes | (row.data or {}))])
