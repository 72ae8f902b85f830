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
    return {ends: sum([weight] * counts[ends]) if weight is not None and parallel == "sum" else weight
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
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    quoted = any(";" in str(node) or " # " in str(node) or str(node)[-2:] == " #" for node in graph) or (
        separator == "\t" and any(str(node)[:1] == "," or str(node)[-1:] == "," for node in graph))
    for row in ([names] if header else []) + edges:
        if quoted:
            text.write(separator.join(f'"{cell}"' for cell in row) + "\n")
        else:
            table.writerow(row)
    path.write_text(text.getvalue(), encoding="utf-8")
    assert_same(reader_of(path)(path, directed=graph.is_directed()), graph, isolated=False)


def saved(path: Path, content: str | bytes) -> dict[str, str]:
    """A file with this content, and the specification that names it."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {"path": str(path)}


def edges_of(path: Path, content: str | bytes) -> list[tuple[str, ...]]:
    """The edges that netac reads from this content, in the file's labels."""
    saved(path, content)
    return sorted(tuple(sorted(ends)) for ends in by_label(reader_of(path)(path)).edges())


# --- parallel edges, loops, directions ---------------------------------------------------------------

def test_parallel_edges_count_once_with_a_note_that_comparisons_and_parts_pass_on(tmp_path):
    topology = load(spec := saved(tmp_path / "twice.graphml", TWICE), 3)
    assert topology.graph(0).number_of_edges() == 2 and topology.spec["parallel"] == "merge"
    note = f"{tmp_path}/twice.graphml: parallel edges count once (parallel = \"merge\"): between 'Rome', 'Paris'"
    assert topology.notes == (note,)
    for part in ({"name": "gossip", "base": spec["path"]}, {"name": "alternating", "of": ["ring", spec["path"]]}):
        assert load(part, 3).notes == (note,) and load(part, 3).labels == ("Rome", "Paris", "Oslo")
    with pytest.raises(InputError, match=r"topology\.parallel: there are 2 parallel edges between 'Rome' and 'Paris'"):
        load(spec | {"parallel": "refuse"}, 3)
    assert load(spec | {"parallel": "sum"}, 3).notes == ()


@pytest.mark.parametrize("name, text", [
    ("net.edgelist", "0 1 {0}\n1 0 {1}\n1 2 0.25\n"), ("net.csv", "u,v,weight\n0,1,{0}\n1,2,0.25\n1,0,{1}\n"),
    ("net.gml", "graph [ node [ id 0 ] node [ id 1 ] node [ id 2 ] edge [ source 0 target 1 weight {0} ]\n"
     "edge [ source 0 target 1 weight {1} ] edge [ source 1 target 2 weight 0.25 ] ]"),
    ("net.net", "*Vertices 3\n*Edges\n1 2 {0}\n2 1 {1}\n2 3 0.25\n"),
    ("net.graphml", f'<graphml {XMLNS}><key id="w" for="edge" attr.name="weight" attr.type="double"/><graph '
     'edgedefault="undirected"><edge source="0" target="1"><data key="w">{0}</data></edge><edge source="1" target="0">'
     '<data key="w">{1}</data></edge><edge source="1" target="2"><data key="w">0.25</data></edge></graph></graphml>')])
def test_weights_of_parallel_edges_agree_are_added_or_are_refused(tmp_path, name, text):
    spec = saved(tmp_path / name, text.replace("{0}", "0.125").replace("{1}", "0.125"))
    assert load(spec, 3).matrix(0)[0, 1] == 0.125 and len(load(spec, 3).notes) == 1
    assert load(spec | {"parallel": "sum"}, 3).matrix(0)[0, 1] == 0.25
    saved(tmp_path / name, text.replace("{0}", "0.125").replace("{1}", "0.25"))
    with pytest.raises(InputError, match=r'have different weights \(found \[0.125, 0.25\]; valid: parallel = "sum"'):
        load(spec, 3)
    assert load(spec | {"parallel": "sum"}, 3).matrix(0)[0, 1] == 0.375
    assert load(spec | {"parallel": "sum", "weights": "metropolis"}, 3).matrix(0)[0, 1] == 1 / 3


def test_loops_are_the_agents_own_weights_or_say_nothing(tmp_path):
    spec = saved(tmp_path / "loops.edgelist", "a a\na b\n")
    assert load(spec, 2).graph(0).number_of_edges() == 1 and "loops without weight" in load(spec, 2).notes[0]
    W = np.array([[.6, .4, 0], [0, .6, .4], [.4, 0, .6]])
    nx.write_graphml(nx.from_numpy_array(W.T, create_using=nx.DiGraph), tmp_path / "W.graphml")
    loaded = load({"path": str(tmp_path / "W.graphml")}, 3)
    assert np.array_equal(loaded.matrix(0).toarray(), W) and loaded.notes == ()


ONE_WAY_FILES = {
    "a.graphml": ONE_WAY.replace("</graph>", '<edge source="b" target="c"/></graph>'),
    "a.gml": "graph [ directed 1 node [ id 0 ] node [ id 1 ] node [ id 2 ] edge [ source 0 target 1 ] edge [ source 1 "
             "target 2 ] ]",
    "a.gexf": '<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2"><graph defaultedgetype="directed"><nodes>'
              '<node id="a"/><node id="b"/><node id="c"/></nodes><edges><edge id="0" source="a" target="b"/>'
              '<edge id="1" source="b" target="c"/></edges></graph></gexf>',
    "a.net": "*Vertices 3\n*Arcs\n1 2\n2 3\n"}


@pytest.mark.parametrize("name", ONE_WAY_FILES)
def test_a_directed_file_without_weights_is_told_what_works_and_it_works(tmp_path, name):
    spec = saved(tmp_path / name, ONE_WAY_FILES[name])
    with pytest.raises(InputError, match='valid: a weight on every edge, or directed = false with weights = "metropol'):
        load(spec, 3)
    with pytest.raises(InputError, match="valid: directed = false, which drops the directions"):
        load(spec | {"weights": "metropolis"}, 3)
    for works in ({"directed": False}, {"directed": False, "weights": "metropolis"}):
        topology = load(spec | works, 3)
        assert topology.weights == "metropolis" and certify(topology).problems == []
        assert load(topology.spec, 3) == topology and topology.spec["directed"] is False


def test_directions_are_dropped_from_matrices_and_given_to_lists(tmp_path):
    np.save(tmp_path / "one_way.npy", np.eye(3, k=1))
    spec = {"path": str(tmp_path / "one_way.npy"), "weights": "metropolis", "directed": False}
    assert certify(load(spec, 3)).problems == []
    spec = saved(tmp_path / "b.edgelist", "0 1 .5\n1 0 .5\n")
    assert load(spec | {"directed": True}, 2).graph(0).is_directed()
    assert load(spec | {"directed": True}, 2).notes == () and len(load(spec, 2).notes) == 1
    both = load(saved(tmp_path / "c.gml", "graph [ node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 weight .5 ] ]")
                | {"directed": True}, 2)
    assert sorted(both.graph(0).edges) == [(0, 1), (1, 0)] and both.notes == ()


# --- encodings ---------------------------------------------------------------------------------------

TEXTS = {"a.edgelist": "2 0\n0 1\n", "a.csv": "2,0\n0,1\n", "a.adjlist": "2 0\n0 1\n", "a.net": ONE_WAY_FILES["a.net"],
         "a.gml": "graph [ node [ id 2 ] node [ id 0 ] node [ id 1 ] edge [ source 2 target 0 ] ]",
         "a.py": "import networkx as nx\ndef graph(t, n):\n    return nx.star_graph(n - 1)\n"}


@pytest.mark.parametrize("name", TEXTS)
def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path, name):
    options = {"directed": False} if name == "a.net" else {}
    plain, marked = (load(saved(tmp_path / f"{place}{name}", TEXTS[name].encode(encoding)) | options, 3)
                     for place, encoding in (("plain", "utf-8"), ("marked", "utf-8-sig")))
    assert np.array_equal(plain.matrix(0).toarray(), marked.matrix(0).toarray()) and plain.labels == marked.labels


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", TEXTS)
def test_text_of_wide_characters_is_recognised(tmp_path, name, encoding):
    kind = "UTF-32" if encoding == "utf-32" else "UTF-16"
    with pytest.raises(InputError, match=rf"a\.\w+: .*is {kind} text \(valid: the same text saved as UTF-8\)"):
        load(saved(tmp_path / name, TEXTS[name].encode(encoding)), 3)


def test_xml_says_its_encoding_itself(tmp_path):
    text = '<?xml version="1.0" encoding="UTF-16"?>' + TWICE
    assert load(saved(tmp_path / "a.graphml", text.encode("utf-16")), 3).labels == ("Rome", "Paris", "Oslo")


# --- separators, comments, headers, labels -----------------------------------------------------------

@pytest.mark.parametrize("name, text, edges", [
    ("a.edgelist", "0;1\n1;2\n", ["01", "12"]), ("a.csv", "0;1\n1;2\n", ["01", "12"]),
    ("a.edgelist", "0\t1\n1\t2\n", ["01", "12"]), ("a.csv", "0 1\n1 2\n", ["01", "12"]),
    ("a.edgelist", "0 , 1\n1,2 # last\n", ["01", "12"]), ("a.edgelist", "0; 1 # one\n1 ;2\n", ["01", "12"]),
    ("a.edgelist", "a#1 b # to be seen\n# a c\n  # a d\nb c\n", [("a#1", "b"), "bc"]),
    ("a.edgelist", "Team #1;Team #2\nTeam #2;x\n", [("Team #1", "Team #2"), ("Team #2", "x")]),
    ("a.csv", '"New York","Rome, GA"\n"Rome, GA",Oslo\n', [("New York", "Rome, GA"), ("Oslo", "Rome, GA")]),
    ("a.edgelist", '"New York" Oslo\nOslo Rome\n', [("New York", "Oslo"), ("Oslo", "Rome")]),
    ("a.edgelist", "New York,Oslo\nOslo,Rome\n", [("New York", "Oslo"), ("Oslo", "Rome")]),
    ("a.edgelist", "New York\tOslo\nOslo\tEast Rome\n", [("New York", "Oslo"), ("East Rome", "Oslo")]),
    ("a.csv", "source,target\n0,1\n1,2\n", ["01", "12"]), ("a.csv", "From;To\nx;y\ny;z\n", ["xy", "yz"]),
    ("a.csv", "u,v\n0,1\n1,2\n", ["01", "12"]), ("a.csv", "node1,node2,weight\nx,y,1\ny,z,1\n", ["xy", "yz"]),
    ("a.csv", "stop,next,minutes\nx,y,1\ny,z,1\n", ["xy", "yz"]), ("a.edgelist", "src dst\n3 4\n4 5\n", ["34", "45"]),
    ("a.csv", "Id,Type,Source,Target\n7,Undirected,x,y\n8,Undirected,y,z\n", ["xy", "yz"]),
    ("a.edgelist", "u v\nv w\n", ["uv", "vw"]), ("a.edgelist", "source target\n", [("source", "target")]),
    ("a.adjlist", "a b c # and others\n# d\nb a\nc\n", ["ab", "ac"]), ("a.adjlist", "a;b;c\nb;a\nc\n", ["ab", "ac"])])
def test_lines_mean_what_people_mean_by_them(tmp_path, name, text, edges):
    assert edges_of(tmp_path / name, text) == sorted(tuple(sorted(ends)) for ends in edges)


def test_columns_of_a_table_are_attributes_and_its_weights(tmp_path):
    spec = saved(tmp_path / "a.csv", "Source;Target;km;Weight;note\nBern;Basel;95;0,25;\nBasel;Chur;200,5;0,5;#1\n")
    graph = load(spec, 3).graph(0)
    assert dict(graph.edges[0, 1]) == {"km": 95.0, "weight": 0.25}
    assert dict(graph.edges[1, 2]) == {"km": 200.5, "weight": 0.5, "note": "#1"}
    assert load(spec, 3).labels == ("Bern", "Basel", "Chur")


def test_lines_that_networkx_writes(tmp_path):
    path = tmp_path / "a.edgelist"
    saved(path, "0 1 {}\n1 2 {'weight': 0.5, 'name': 'a # {b'}\n2 3 {'weight': np.float64(0.25)} # seen\n")
    graph = reader_of(path)(path)
    assert [graph.edges[edge].get("weight") for edge in ((0, 1), (1, 2), (2, 3))] == [None, 0.5, 0.25]
    with pytest.raises(InputError, match="line 1 is no edge"):
        load(saved(path, "0 1 {'weight': __import__('os').getpid()}\n"), 2)


def test_messages_speak_in_the_files_labels(tmp_path):
    spec = saved(tmp_path / "a.csv", "from,to,weight\nRome,Paris,4\nParis,Oslo,5\nOslo,Rome,3\n")
    found = certify(load(spec, 3))
    assert found.problems == ["W_0 has the negative weight -8 at (1, 1): the weights with which agent 1 ('Paris') "
                              "hears the others sum to 9"]
    assert found.remedy.startswith('weights = "metropolis", which ignores the weights')
    assert certify(load(spec | {"weights": "metropolis"}, 3)).problems == []
    with pytest.raises(InputError, match=r"has 3 nodes \('Rome', 'Paris', 'Oslo'\) and there are 5 agents"):
        load(spec, 5)
    apart = certify(load(saved(tmp_path / "b.csv", "Rome,Paris\nOslo,Bern\n"), 4))
    assert apart.disconnected == ("the graph is not connected: {0 ('Rome'), 1 ('Paris')} never hear from "
                                  "{2 ('Oslo'), 3 ('Bern')}")
    with pytest.raises(InputError, match=r"edge \(0, 1\) \('Rome', 'Paris'\) has none"):
        load({"path": str(tmp_path / "b.csv"), "weights": "file"}, 4)


# --- matrices ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("suffix", [".npy", ".edgelist", ".graphml", ".gml", ".net"])
def test_weights_that_are_none_of_averaging_are_told_and_ignored_by_metropolis(tmp_path, suffix):
    graph, path = nx.path_graph(4), tmp_path / f"adjacency{suffix}"
    nx.set_edge_attributes(graph, 2.0, "weight")
    if suffix == ".npy":
        np.save(path, nx.to_numpy_array(graph))
    else:
        WRITERS[suffix](graph, str(path))
    found = certify(load(str(path), 4))
    assert found.problems and "metropolis" in found.remedy and "agent 1" in found.problems[0]
    assert "sum to 4" in found.problems[0]
    assert certify(load({"path": str(path), "weights": "metropolis"}, 4)).problems == []


def stochastic(n: int, symmetric: bool, seed: int) -> np.ndarray:
    """Doubly stochastic weights with a positive diagonal."""
    rng = np.random.default_rng(seed)
    W = 0.3 * np.eye(n)
    for share in rng.dirichlet(np.ones(4)) * 0.7:
        permutation = np.eye(n)[rng.permutation(n)]
        W += share * ((permutation + permutation.T) / 2 if symmetric else permutation)
    return W


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("symmetric", [True, False])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(2, 30), seed=st.integers(0, 99), sparse=st.booleans())
def test_a_matrix_is_doubly_stochastic_up_to_its_own_rounding(tmp_path, dtype, symmetric, n, seed, sparse):
    W = stochastic(n, symmetric, seed).astype(dtype)
    if sparse and dtype is not np.float16:                  # which scipy has no sparse matrices of
        scipy.sparse.save_npz(path := tmp_path / "W.npz", scipy.sparse.csr_array(W))
    else:
        np.save(path := tmp_path / "W.npy", W)
    topology = load(str(path), n)
    found, read = certify(topology, spectrum=False), topology.matrix(0).toarray()
    assert found.problems == [] and max(found.row_error, found.column_error) <= 1e-9
    assert np.abs(read - W).max() <= {np.float16: 1e-2, np.float32: 1e-6, np.float64: 1e-15}[dtype]
    assert np.array_equal(read, read.T) or not symmetric


def test_what_is_further_off_than_rounding_is_refused(tmp_path):
    W = stochastic(6, False, 0)
    W[0] *= 1.001
    np.save(tmp_path / "W.npy", W.astype(np.float32))
    assert "agent 0 hears, row 0, sum to 1.00" in certify(load(str(tmp_path / "W.npy"), 6)).problems[0]
    text = "".join(f"{j} {i} {W[i, j]:.7f}\n" for i in range(6) for j in range(6) if W[i, j] and i != j)
    spec = saved(tmp_path / "digits.edgelist", text) | {"directed": True}
    assert any("column" in problem for problem in certify(load(spec, 6)).problems)
    W[0] /= 1.001
    text = "".join(f"{j} {i} {W[i, j]:.7f}\n" for i in range(6) for j in range(6) if W[i, j] and i != j)
    saved(tmp_path / "digits.edgelist", text)                             # seven digits of weights that do hold
    assert certify(load(spec, 6)).problems == []


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia"])
def test_sparse_matrices_of_scipy(tmp_path, form):
    W = stochastic(7, False, 3)
    for number, make in enumerate((scipy.sparse.csr_array, scipy.sparse.csr_matrix)):
        path = tmp_path / f"{number}.npz"
        scipy.sparse.save_npz(path, make(W).asformat(form))
        assert np.array_equal(load(str(path), 7).matrix(0).toarray(), load_dense(tmp_path, W))


def load_dense(folder: Path, W: np.ndarray) -> np.ndarray:
    """The same matrix by way of a .npy file."""
    np.save(folder / "dense.npy", W)
    return load(str(folder / "dense.npy"), len(W)).matrix(0).toarray()


def test_matrices_may_be_compressed(tmp_path):
    W = stochastic(5, True, 0)
    with gzip.open(tmp_path / "W.npy.gz", "wb") as file:
        np.save(file, W)
    assert np.array_equal(load(str(tmp_path / "W.npy.gz"), 5).matrix(0).toarray(), load_dense(tmp_path, W))


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "W.npz", format=np.array(b"csr"), shape=np.array([1, 1]), data=np.array([{}], dtype=object),
             indices=np.zeros(1, dtype=int), indptr=np.array([0, 1]))
    with pytest.raises(InputError, match=r"is not a whole \.npz file"):
        load(str(tmp_path / "W.npz"), 1)


# --- damaged files -----------------------------------------------------------------------------------

BOMB = ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "entity">'
        + "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 12))
        + f']><graphml {XMLNS}><graph edgedefault="undirected"><node id="&e11;"/></graph></graphml>')


@pytest.mark.parametrize("name, content, words", [
    ("a.graphml", BOMB, "limit on input amplification factor"), ("a.gexf", BOMB, "limit on input amplification factor"),
    ("a.gexf", "<gexf/>", "cannot be read as GEXF"), ("a.gml", "graph [ node [", "cannot be read as GML"),
    ("a.gml.gz", "graph []", "is not a whole gzip file"), ("a.csv.gz", gzip.compress(b"0,1\n", mtime=0)[:-5],
                                                           "whole gzip file"),
    ("a.npy.gz", b"nothing", "is not a whole gzip file"), ("a.npy.gz", gzip.compress(b"0", mtime=0),
                                                           "is not a whole .npy file"),
    ("a.edgelist", "", "holds no nodes"),
    ("a.csv", "0,1,2,3\n", "line 1 is no edge"),
    ("a.net", "*Vertices x\n", "line 1 does not say how many vertices there are"),
    ("a.net", "*Vertices 2\n*Edges\n1 3\n", "line 3 names no two vertices (found '1 3'"),
    ("a.net", "*Vertices 2\n*Edges\n1 2 x\n", "line 3 has a value that is no number"),
    ("a.net", "*Vertices 2\n*Matrix\n1 2 x\n", "line 3 is no row of the matrix"), ("a.adjlist", "# 0 1\n", "no nodes")])
def test_damaged_files_are_told_in_one_line(tmp_path, name, content, words):
    spec = saved(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        load(spec, 2)
    assert words in str(caught.value) and str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(packed=st.booleans(), content=st.one_of(
    st.binary(max_size=80), st.text(max_size=80).map(str.encode),
    st.text("*VerticsEdgAMx 12\n<>[]{}'\"#,;=/", max_size=80).map(str.encode)))
def test_whatever_a_file_holds_it_is_a_graph_or_an_error_in_words(tmp_path, suffix, content, packed):
    path = tmp_path / f"any{suffix}"
    path.write_bytes(gzip.compress(content) if packed and suffix.endswith(".gz") else content)
    try:
        graph = reader_of(path)(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert sorted(graph) == list(range(len(graph)))


@pytest.mark.parametrize("text, arcs, edges", [
    ("*Network x\n*Vertices 3\n1 \"a\"\n2 \"b\"\n3 \"c\"\n*Arcs\n*Edges\n1 2\n2 3\n", [], ["ab", "bc"]),
    ("*vertices 3\n% none is named\n*arcs\n1 2 1\n*edges\n2 3 1\n", ["12", "23", "32"], []),
    ("*Vertices 3\n1 a 0.5 0.5\n3 a\n*Arcslist\n1 2 3\n", ["12", "13"], []),
    ("*Vertices 3\n*Edgeslist\n2 1 3\n", [], ["12", "23"]),
    ("*Vertices 3\n*Matrix\n0 1 0\n1 0 1\n0 1 0\n", [], ["12", "23"]),
    ("*Vertices 3\n*Matrix\n0 1 0\n0 0 1\n0 0 0\n", ["12", "23"], [])])
def test_pajeks_sections(tmp_path, text, arcs, edges):
    path = tmp_path / "a.net"
    saved(path, text)
    graph = by_label(reader_of(path)(path))
    assert graph.is_directed() == bool(arcs) and len(graph) == 3
    read = sorted("".join(ends if arcs else sorted(ends)) for ends in graph.edges)
    assert read == sorted(arcs or edges) and not nx.get_edge_attributes(graph, "weight")


def test_labels_that_are_not_unique_give_way_to_ids(tmp_path):
    path = tmp_path / "a.gml"
    for label in ("", 'label "x"'):
        saved(path, f"graph [ node [ id 5 {label} ] node [ id 7 {label} ] edge [ source 5 target 7 ] ]")
        assert list(by_label(reader_of(path)(path))) == ["5", "7"]


def test_the_last_of_the_endings_says_what_a_file_holds(tmp_path):
    assert load(saved(tmp_path / "my.net.v2.CSV", "0,1\n"), 2).graph(0).number_of_edges() == 1
