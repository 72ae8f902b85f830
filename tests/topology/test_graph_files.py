"""Graphs in files of every kind: what networkx and scipy write is read as it was, and what people write as meant."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netac.topology import certify, load
from netac.topology.files import SUFFIXES, reader_of
from netac.topology.labels import labels_of, notes_of
from netac.utils.errors import InputError

XMLNS = 'xmlns="http://graphml.graphdrawing.org/xmlns"'
ONE_WAY = f'<graphml {XMLNS}><graph edgedefault="directed"><edge source="a" target="b"/></graph></graphml>'
TWICE = (f'<graphml {XMLNS}><graph edgedefault="undirected"><edge source="Rome" target="Paris"/>'
         '<edge source="Rome" target="Paris"/><edge source="Paris" target="Oslo"/></graph></graphml>')

WRITERS: dict[str, Callable[[nx.Graph, str], None]] = {
    ".graphml": nx.write_graphml, ".gml": nx.write_gml, ".gexf": nx.write_gexf, ".net": nx.write_pajek,
    ".edgelist": nx.write_edgelist, ".adjlist": nx.write_adjlist}
WEIGHTS = st.sampled_from([None, 0.25, 0.1, 3.0, 1e-5, np.float64(0.3)])
LETTERS = "abAZ019éß東я#'()-_.:/&<>%*"


@st.composite
def graphs(draw, letters: str = LETTERS) -> nx.Graph:
    """Graphs of all four classes, with loops and parallel edges, attributes and labels of many kinds."""
    kind = draw(st.sampled_from([nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph]))
    text = st.text(letters, min_size=1, max_size=6).map(str.strip).filter(lambda label: label and label[0] != "#")
    labels: list[int | str] = list(draw(st.one_of(
        st.integers(1, 6).flatmap(lambda n: st.permutations(range(n))),
        st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True),
        st.lists(text, min_size=1, max_size=6, unique=True))))
    graph = kind()
    graph.add_nodes_from(labels)
    weight = draw(WEIGHTS)
    for u, v in draw(st.lists(st.tuples(st.sampled_from(labels), st.sampled_from(labels)), max_size=12)):
        graph.add_edges_from([(u, v, {"kind": "road # 1"} | ({} if weight is None else {"weight": weight}))])
    return graph


def as_meant(graph: nx.Graph, parallel: str = "merge") -> dict[object, float | None]:
    """The edges of a graph by their ends' labels, with their weights; loops and multiplicity left out."""
    found: dict[object, float | None] = {}
    counts: Counter[object] = Counter()
    for u, v, weight in graph.edges(data="weight"):
        ends = (str(u), str(v)) if graph.is_directed() else frozenset((str(u), str(v)))
        if u != v:
            counts[ends] += 1
            found[ends] = weight
    return {ends: weight * counts[ends] if weight is not None and parallel == "sum" else weight
            for ends, weight in found.items()}


def by_label(graph: nx.Graph) -> nx.Graph:
    """What netac read, with the file's labels."""
    labels = labels_of(graph) or list(map(str, range(len(graph))))
    return nx.relabel_nodes(graph, dict(enumerate(labels)))


def assert_same(read: nx.Graph, written: nx.Graph, parallel: str = "merge", isolated: bool = True) -> None:
    """What was read has the nodes and edges of what was written."""
    nodes = {str(node) for node in written if isolated or written.degree(node)}
    assert set(by_label(read)) == nodes and sorted(read) == list(range(len(nodes)))
    assert as_meant(by_label(read)) == as_meant(written, parallel) and read.is_directed() == written.is_directed()
    assert not read.is_multigraph() and nx.number_of_selfloops(read) == 0
    several = written.is_multigraph() and any(
        number > 1 for number in Counter(frozenset((u, v)) if not written.is_directed() else (u, v)
                                         for u, v in written.edges()).values())
    assert any("parallel" in text for text in notes_of(read)) == (several and parallel == "merge")


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize("suffix", WRITERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_networkx_writes_is_read_as_it_was(tmp_path, suffix, gz, data):
    spaces = " " if suffix not in (".edgelist", ".adjlist") else ""
    graph = data.draw(graphs(LETTERS + spaces))
    parallel = data.draw(st.sampled_from(["merge", "sum"]))
    path = tmp_path / f"net{suffix}{gz}"
    if suffix in (".net", ".adjlist"):
        for _, _, data_of_edge in graph.edges(data=True):
            data_of_edge.pop("kind", None)
            if suffix == ".adjlist":
                data_of_edge.clear()
    WRITERS[suffix](graph, str(path))
    if suffix == ".edgelist" and not graph.number_of_edges():
        return
    declared = {"directed": graph.is_directed()} if suffix in (".edgelist", ".adjlist") else {}
    if suffix == ".net" and graph.is_directed() and not graph.number_of_edges():
        declared = {"directed": True}
    assert_same(reader_of(path)(path, parallel=parallel, **declared), graph, parallel, suffix != ".edgelist")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=graphs(LETTERS + " ,;"), separator=st.sampled_from([",", ";", "\t"]), header=st.booleans(),
       weighted=st.booleans())
def test_tables_are_read_with_any_separator_with_quotes_and_with_a_header(tmp_path, graph, separator, header, weighted):
    path, text = tmp_path / "net.csv", io.StringIO()
    table = csv.writer(text, delimiter=separator)
    edges = [(u, v, *([0.5] if weighted else [])) for u, v in graph.edges()]
    if not edges:
        return
    nx.set_edge_attributes(graph, 0.5 if weighted else None, "weight")
    names = ["source", "target", *(["weight"] if weighted else [])]
    quoted = separator != ";" and any(";" in str(node) for node in graph)
    for row in ([names] if header else []) + edges:
        if quoted:
            text.write(separator.join(f'"{cell}"' for cell in row) + "\n")
        else:
            table.writerow(row)
    path.write_text(text.getvalue(), encoding="utf-8")
    assert_same(reader_of(path)(path, directed=graph.is_directed()), graph, isolated=False)
