"""Graphs as text: lists of edges, "u v" a line, and lists of neighbours, "u v w ..." a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    found = rows(read_text(path), [";", SPACES, "\t", ","], _lists)
    graph = nx.MultiDiGraph() if directed else nx.MultiGraph()
    listed: set[str] = set()
    for row in found:
        node, *neighbours = row.cells
        graph.add_node(node)
        graph.add_edges_from((node, other) for other in neighbours
                             if directed or other == node or other not in listed or not graph.has_edge(other, node))
        listed.add(node)
    return simple(graph, path, directed, parallel)


def _lists(found: list[Row]) -> int:
    """How many rows list neighbours."""
    return sum(len(row.cells) > 1 for row in found)


def _edges_of(path: Path, separators: Sequence[str], directed: bool, parallel: Parallel) -> nx.Graph:
    """The graph of a text with one edge a row."""
    found, header = _split(rows(read_text(path), separators, _edges))
    graph = nx.MultiDiGraph() if directed else nx.MultiGraph()
    for row in found:
        edge = _edge(row, header)
        if edge is not None:
            graph.add_edges_from([edge])
        elif len(row.cells) == 1 and row.data is None:
            graph.add_node(row.cells[0])
        else:
            raise InputError(f"line {row.number} is no edge", file=path, found=row.text, valid=EDGE)
    return simple(graph, path, directed, parallel)


def _split(found: list[Row]) -> tuple[list[Row], Header]:
    """The rows below the header, and the header; all of them and the columns "u v weight" where there is none."""
    header = header_of(found[0], found[1:]) if found else None
    return (found[1:], header) if header else (found, Header())


def _edges(found: list[Row]) -> int:
    """How many rows are edges, or the header of edges."""
    below, header = _split(found)
    return len(found) - len(below) + sum(_edge(row, header) is not None for row in below)


def _edge(row: Row, header: Header) -> tuple[str, str, dict[str, Any]] | None:
    """The edge in a row with its attributes; None if it is none."""
    cells = dict(enumerate(row.cells))
    u, v = (cells.get(at, "") for at in header.ends)
    given = {name: cells[at] for at, name in header.attributes.items() if cells.get(at)}
    attributes = {name: text if (number := number_of(text)) is None else number for name, text in given.items()}
    unknown = cells.keys() - {*header.ends, *header.attributes}
    if not u or not v or unknown or isinstance(attributes.get("weight"), str):
        return None
    return u, v, attributes | (row.data or {})
