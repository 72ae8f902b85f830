"""Pajek's .net files: *Vertices, then *Arcs, *Edges, *Arcslist, *Edgeslist and *Matrix, in any number and order.

networkx's reader is not used: it takes edges that follow arcs for arcs, and a vertex without a line for the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import networkx as nx

from netac.topology.lines import number_of
from netac.topology.simple import Parallel, simple
from netac.utils.errors import InputError
from netac.utils.files import read_text

_WORD = re.compile(r'"([^"]*)"|(\S+)')

Link = tuple[str, str, float]
"""Two vertices' numbers and a value."""
Line = tuple[int, list[str]]
"""A line's number and its words."""


def pajek(path: Path, *, directed: bool | None = None, parallel: Parallel = "merge") -> nx.Graph:
    """A Pajek network; directed, where `directed` does not say, if it has arcs or a matrix that is not symmetric.

    A line's value is its weight.  Where all are 1, which is what is meant where nothing is said, there are no weights.
    """
    names: dict[str, str] = {}
    arcs: list[Link] = []
    edges: list[Link] = []
    for kind, number, words, lines in _sections(read_text(path)):
        if kind == "*vertices":
            names = _vertices(number, words, lines, path)
        elif kind == "*matrix":
            links = list(_matrix(names, lines, path))
            symmetric = {(v, u, value) for u, v, value in links} == set(links)
            edges += [link for link in links if int(link[0]) <= int(link[1])] if symmetric else []
            arcs += [] if symmetric else links
        elif kind in _LINKS:
            read, found = _LINKS[kind], arcs if kind.startswith("*arcs") else edges
            found += [link for line in lines for link in read(_checked(names, line, path), line, path)]
    graph: nx.Graph = nx.MultiDiGraph() if arcs else nx.MultiGraph()
    links = arcs + edges + [(v, u, value) for u, v, value in edges if arcs and u != v]
    weighted = any(value != 1 for _, _, value in links)
    graph.add_nodes_from(names)
    graph.add_edges_from((u, v, {"weight": value} if weighted else {}) for u, v, value in links)
    unique = len(set(names.values())) == len(names)        # else labels name no vertex, and the numbers do
    return simple(nx.relabel_nodes(graph, names) if unique else graph, path, directed, parallel)


def _sections(text: str) -> Iterator[tuple[str, int, list[str], list[Line]]]:
    """(kind, its line's number, the words behind it, the lines below it) of every section; % starts a comment line."""
    kind, start, words, lines = "", 0, list[str](), list[Line]()
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("*"):
            yield kind, start, words, lines
            (kind, *words), start, lines = _words(line.strip()), number, []
            kind = kind.lower()
        elif line.strip() and not line.lstrip().startswith("%"):
            lines.append((number, _words(line)))
    yield kind, start, words, lines


def _words(line: str) -> list[str]:
    return [found[1] if found[2] is None else found[2] for found in _WORD.finditer(line)]


def _vertices(number: int, words: list[str], lines: list[Line], path: Path) -> dict[str, str]:
    """The label of every vertex by its number, 1..n; a vertex without a line, or without a label, is called so."""
    if not words or not words[0].isdecimal():
        raise InputError(f"line {number} does not say how many vertices there are", file=path, valid="*Vertices 5")
    names = {str(vertex): str(vertex) for vertex in range(1, int(words[0]) + 1)}
    for at, (vertex, *label) in lines:
        if vertex not in names:
            raise InputError(f"line {at} names no vertex", file=path, found=vertex, valid=f"1 to {len(names)}")
        names[vertex] = label[0] if label else vertex
    return names


def _checked(names: dict[str, str], line: Line, path: Path) -> list[str]:
    """The words of a line, which names two vertices."""
    number, words = line
    unknown = next((word for word in words[:2] if word not in names), None)
    if len(words) < 2 or unknown is not None:
        raise InputError(f"line {number} names no two vertices", file=path, found=" ".join(words),
                         valid=f'"u v value", with u and v from 1 to {len(names)}')
    return words


def _one(words: list[str], line: Line, path: Path) -> list[Link]:
    """u v value."""
    value = number_of(words[2]) if len(words) > 2 else 1.0
    if value is None:
        raise InputError(f"line {line[0]} has a value that is no number", file=path, found=words[2])
    return [(words[0], words[1], value)]


def _several(words: list[str], line: Line, path: Path) -> list[Link]:
    """u v w ...: u with each of the others."""
    return [(words[0], other, 1.0) for other in words[1:]]


def _matrix(names: dict[str, str], lines: list[Line], path: Path) -> Iterator[Link]:
    """Row i says what leads from i to each of the vertices."""
    for vertex, (number, words) in zip(names, lines, strict=False):
        values = [number_of(word) for word in words]
        if len(values) != len(names) or None in values:
            raise InputError(f"line {number} is no row of the matrix", file=path, found=" ".join(words),
                             valid=f"{len(names)} numbers")
        yield from ((vertex, other, value) for other, value in zip(names, values, strict=True) if value)


_LINKS: dict[str, Callable[[list[str], Line, Path], list[Link]]] = {
    "*arcs": _one, "*edges": _one, "*arcslist": _several, "*edgeslist": _several}
