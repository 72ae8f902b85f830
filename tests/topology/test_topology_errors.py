"""Bad topologies, made by hand: each gives an InputError, or a problem in the certificate, with the right words."""

from __future__ import annotations

import numpy as np
import pytest

from netac.topology import certify, load
from netac.utils.errors import InputError, RunError
from netac.utils.files import load_npy

HEAD = "import networkx as nx\n"


@pytest.mark.parametrize("spec, words", [
    ("rnig", "topology.name: there is no topology called 'rnig' (did you mean 'ring'?)"),
    ("periodic_complete", "did you mean 'periodic-complete'?"),
    ({"name": "ring", "weights": "metropolois"}, "topology.weights: there is no weight rule called"),
    ({"name": "periodic-complete", "peroid": 5}, "topology.peroid: unknown key (did you mean 'period'?)"),
    ({"name": "periodic-complete", "wieghts": "metropolis"}, "did you mean 'weights'?"),
    ({"name": "periodic-complete", "period": 0}, "topology.period: should be greater than or equal to 1"),
    ({"name": "periodic-complete", "period": 2.5}, "topology.period: should be a valid integer"),
    ({"name": "periodic-complete", "period": True}, "topology.period: should be a valid integer"),
    ({"name": "periodic-complete", "period": "5"}, "topology.period: should be a valid integer"),
    ({"name": "gossip", "probability": float("nan")}, "topology.probability"),
    ({"name": "gossip", "probability": 1.5}, "topology.probability: should be less than or equal to 1"),
    ({"name": "gossip", "base": "rign"}, "did you mean 'ring'?"),
    ({"name": "gossip", "base": "none.py"}, "topology.base: there is no such topology file (found 'none.py'"),
    ({"name": "gossip", "base": "hypercube"}, "topology: a hypercube does not exist for 6 agents"),
    ({"name": "alternating", "of": ["ring", "sart"]},
     "topology.of: there is no topology called 'sart' (did you mean 'star'?)"),
    ({"name": "alternating", "of": []}, "topology.of"),
    ({"name": "alternating", "of": "ring"}, "topology.of"),
    ({"name": "small-world", "neighbours": 3}, "topology.neighbours: should be a multiple of 2"),
    ({"name": "grid", "rows": 4}, "topology.rows: a grid of 4 rows does not exist for 6 agents"),
    ({"name": "erdos-renyi", "probability": 1e-6}, "valid: a larger probability than 1e-06"),
    ({"name": "geometric", "radius": 1e-6}, "valid: a larger radius than 1e-06"),
    ({"name": "ring", "path": "graphs/gossip.py"}, "needs one of the keys name and path"),
    ({"period": 5}, "needs one of the keys name and path"),
    ({"name": 5}, "topology.name: must be text"),
    ({"name": "ring", "weights": 3}, "topology.weights: must be text"),
    (7, "must be a name, a path or a table"),
    ({"name": "ring", "weights": "uniform"}, "needs a complete graph, or one without edges (found '6 of 15 edges'"),
    ({"name": "ring", "weights": "file"}, "edge (0, 1) has none"),
    ({"name": "one-peer-exponential", "weights": "metropolis"}, "needs an undirected graph and this one is directed"),
    ({"name": "ring", "weights": "fastest", "min_self_weight": 1.0}, "topology.min_self_weight"),
    ({"name": "ring", "rows": 2}, "topology.rows: unknown key"),
    ("a" * 300 + ".py", "topology.path: cannot be the path of a file: "),
    ("net.gml", "topology.path: there is no such topology file (found 'net.gml'"),
    ("graphs/missing.py", "there is no such topology file (found 'graphs/missing.py'; valid: a file; looked for "),
])
def test_bad_specifications(spec, words):
    with pytest.raises(InputError) as caught:
        load(spec, 6)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_no_agents():
    with pytest.raises(InputError, match="agents: must be positive"):
        load("ring", 0)


@pytest.mark.parametrize("code, words", [
    ("def graph(t, n:\n    pass\n", "is not valid Python"),
    ("import no_such_module\n", "failed when loaded: ModuleNotFoundError: No module named 'no_such_module'"),
    ("raise SystemExit(0)\n", "failed when loaded: SystemExit: 0"),
    ("import sys\ndef graph(t, n):\n    sys.exit(0)\n", "graph(t=0) raised SystemExit: 0"),
    ("def graph(t, n):\n    return nx.path_graph(n)\ndef period(n):\n    raise SystemExit\n", "raised SystemExit"),
    ("def grpah(t, n):\n    return 1\n", "has no function graph(t, n)"),
    ("graph = 3\n", "has no function graph(t, n)"),
    ("def graph(t):\n    return 1\n", "graph(...) takes too few arguments"),
    ("def graph(t, n, **more):\n    return 1\n", "graph(...) must name its options"),
    ("def graph(t, n, *, k):\n    return 1\n", "topology.k: the key is missing"),
    ("def graph(t, n, *, weights='x'):\n    return 1\n", "an option 'weights', a key that has a meaning of its own"),
    ("from __future__ import annotations\ndef graph(t, n, *, k: Nope = 1):\n    return 1\n",
     "annotation that cannot be read"),
    ("def graph(t, n, *, k: '1 / 0' = 1):\n    return 1\n",
     "annotation that cannot be read: ZeroDivisionError: division by zero"),
    ("PARTS = 'of'\ndef graph(t, n):\n    return nx.path_graph(n)\n", "PARTS must be the name of an option of graph"),
    ("PARTS = 'k'\ndef graph(t, n, *, k=3):\n    return nx.path_graph(n)\n", "topology.k: must be text, or a list"),
    ("def graph(t, n):\n    return [1, 2]\n", "graph(t=0) returned list, not a networkx graph"),
    ("def graph(t, n):\n    return nx.path_graph(n + 1)\n", "of 5 nodes for 4 agents, whose nodes must be 0..3"),
    ("def graph(t, n):\n    return nx.path_graph(n - 1)\n", "missing [3]"),
    ("def graph(t, n):\n    return nx.path_graph(['a', 'b', 'c', 'd'])\n", "not agents: ['a', 'b', 'c', 'd']"),
    ("def graph(t, n):\n    g = nx.path_graph(n)\n    g.add_edge(2, 2)\n    return g\n", "the self loop (2, 2)"),
    ("def graph(t, n):\n    return nx.MultiGraph(nx.path_graph(n))\n", "parallel edges"),
    ("def graph(t, n):\n    return 1 / t\n", "graph(t=0) raised ZeroDivisionError: division by zero"),
    ("def graph(t, n):\n    return nx.DiGraph(nx.path_graph(n))\n", "needs an undirected graph"),
    ("WEIGHTS = 'file'\ndef graph(t, n):\n    return nx.path_graph(n)\n", "edge (0, 1) has none"),
    ("WEIGHTS = 'metro'\ndef graph(t, n):\n    return nx.path_graph(n)\n", "there is no weight rule called 'metro'"),
    ("WEIGHTS = 3\ndef graph(t, n):\n    return nx.path_graph(n)\n", "WEIGHTS must be the name of a weight rule"),
    ("WEIGHTS = 'file'\ndef graph(t, n):\n    g = nx.path_graph(n)\n    nx.set_edge_attributes(g, 'x', 'weight')\n"
     "    return g\n", "is not a finite number (found 'x')"),
    ("PERIOD = 0\ndef graph(t, n):\n    return nx.path_graph(n)\n", "the period must be a positive integer or None"),
    ("def graph(t, n):\n    return nx.path_graph(n)\ndef period(n, j):\n    return 1\n",
     "option 'j' that graph has not"),
    ("def period(n):\n    return 1 / 0\ndef graph(t, n):\n    return nx.path_graph(n)\n", "period(n=4) raised ZeroDiv"),
])
def test_bad_python_files(tmp_path, code, words):
    path = tmp_path / "bad.py"
    path.write_text(code if "__future__" in code else HEAD + code)
    with pytest.raises(InputError) as caught:
        load(str(path), 4)
    assert words in str(caught.value) and "\n" not in str(caught.value)


LATE = HEAD + "def graph(t, n):\n    if t == 7:\n        raise ValueError('boom')\n    return nx.path_graph(n)\n"


def test_a_function_that_raises_later_names_file_and_iteration(tmp_path):
    path = tmp_path / "late.py"
    path.write_text(LATE)
    topology = load(str(path), 3)
    with pytest.raises(InputError, match=r"late\.py: graph\(t=7\) raised ValueError: boom"):
        certify(topology)
    with pytest.raises(RunError, match=r"late\.py: graph\(t=7\) raised ValueError: boom"):
        topology.matrix(7)


TURNS = HEAD + """
def graph(t, n):
    if t == 150:
        return nx.DiGraph(nx.path_graph(n))
    return nx.path_graph(n)
"""
SPOILS = HEAD + """
WEIGHTS = 'file'
def graph(t, n):
    g = nx.path_graph(n)
    nx.set_edge_attributes(g, {(0, 1): .5, (1, 2): .5 if t < 150 else .25}, 'weight')
    if t == 151:
        g.nodes[1]['self_weight'] = .5
    if t == 152:
        g.edges[0, 1]['weight'] = 1.0
        g.edges[1, 2]['weight'] = 0.0
    return g
"""


def test_what_goes_wrong_after_the_iterations_looked_at_fails_the_run_and_names_the_iteration(tmp_path):
    path = tmp_path / "turns.py"
    path.write_text(TURNS)
    topology = load(str(path), 3)
    assert certify(topology).problems == []
    words = r"weights: graph\(t=150\): the weight rule 'metropolis' needs an undirected graph and this one is directed"
    with pytest.raises(RunError, match=rf"topology .*turns\.py: {words}"):
        topology.matrix(150)
    with pytest.raises(InputError, match=rf"turns\.py: topology\.{words}"):
        certify(topology, steps=160)


def test_weights_after_the_iterations_looked_at_are_checked_too(tmp_path):
    path = tmp_path / "spoils.py"
    path.write_text(SPOILS)
    topology = load(str(path), 3)
    assert topology.matrix(150)[2, 2] == 0.75                                # other weights, but doubly stochastic
    for t, problem in ((151, "W_151 is not doubly stochastic: .* agent 1 hears, row 1, sum to 1.25"),
                       (152, "the diagonal of W_152 is 0 at agent 0: Assumption 2 asks W_ii >= c > 0")):
        for _ in range(2):                                                  # a refused matrix is not kept
            with pytest.raises(RunError, match=rf"topology .*spoils\.py: {problem}"):
                topology.matrix(t)
        assert topology.matrix(t, checked=False).nnz >= 5


SETUP = HEAD + "WEIGHTS = 'file'\nPERIOD = 1\ndef graph(t, n):\n    g = nx.empty_graph(n, create_using=nx.DiGraph)\n"


@pytest.mark.parametrize("code, problems", [
    (SETUP + "    g.add_weighted_edges_from([(0, 1, .5), (1, 2, .4), (2, 0, .3)])\n    return g\n",
     ["W_0 is not doubly stochastic: the weights with which agent 0 is heard, column 0, sum to 1.2"]),
    (SETUP + "    g.add_weighted_edges_from([(0, 1, 1), (1, 2, 1), (2, 0, 1)])\n    return g\n",
     ["the diagonal of W_0 is 0 at agent 0: Assumption 2 asks W_ii >= c > 0"]),
    (SETUP + "    g.add_weighted_edges_from((i, j, .8) for i in range(3) for j in range(3) if i != j)\n    return g\n",
     ["W_0 has the negative weight -0.6 at (0, 0): the weights with which agent 0 hears the others sum to 1.6"]),
    (SETUP + "    g.add_weighted_edges_from((i, j, .3) for i in range(3) for j in range(3) if i != j)\n"
     "    g.nodes[1]['self_weight'] = .3\n    return g\n",
     ["W_0 is not doubly stochastic: the weights with which agent 1 hears, row 1, sum to 0.9",
      "W_0 is not doubly stochastic: the weights with which agent 1 is heard, column 1, sum to 0.9"]),
    (HEAD + "import itertools\nCALLS = itertools.count()\ndef graph(t, n):\n"
     "    return nx.path_graph(n) if next(CALLS) % 2 else nx.complete_graph(n)\n",
     ["graph(t=0) gave two different graphs when called twice: make it a function of t and n (draw from a generator "
      "seeded by t) (and so in 99 more iterations)"]),
    (HEAD + "PERIOD = 2\ndef graph(t, n):\n    return nx.path_graph(n) if t % 3 else nx.complete_graph(n)\n",
     ["graph(t=2) is not graph(t=0), although the period is said to be 2 (and so in 1 more iterations)"]),
])
def test_bad_weights_and_functions_are_problems_of_the_certificate(tmp_path, code, problems):
    path = tmp_path / "bad.py"
    path.write_text(code)
    assert certify(load(str(path), 3)).problems == problems


def test_unions_that_never_connect_are_told_apart_from_other_problems(tmp_path):
    path = tmp_path / "halves.py"
    path.write_text(HEAD + "def graph(t, n):\n    g = nx.path_graph(n)\n    g.remove_edge(2, 3)\n    return g\n")
    found = certify(load(str(path), 5))
    assert found.problems == [] and not found.connected
    assert found.disconnected == ("the union of the graphs over 100 iterations is not connected: "
                                  "{3, 4} never hear from {0, 1, 2}")


def test_one_way_links_must_connect_strongly(tmp_path):
    path = tmp_path / "way.edgelist"
    path.write_text("0 1 0.5\n1 2 0.5\n2 1 0.5\n")
    found = certify(load({"path": str(path), "directed": True}, 3))
    assert found.disconnected == "the graph is not connected: {0} never hears from {1, 2}"
    assert any("is heard, column" in sentence for sentence in found.problems)


@pytest.mark.parametrize("name, text, agents, words", [
    ("a.edgelist", "0 1\n1 2\n", 4, "has 3 nodes and there are 4 agents (valid: agents = 3, or a file with 4 nodes)"),
    ("a.edgelist", "0 1 heavy\n", 2, "line 1 is no edge (found '0 1 heavy'"),
    ("a.edgelist", "0 1 2 3\n", 2, "line 1 is no edge"),
    ("a.edgelist", "0 1 nan\n", 2, "is not a finite number"),
    ("a.graphml", "<graphml><graph>", 2, "cannot be read as GraphML"),
    ("a.graphml", "not xml", 2, "cannot be read as GraphML"),
    ("a.graphml", "<x/>", 2, "cannot be read as GraphML"),
    ("a.edgelist", "0 1 0.5\n1 2\n", 3, "needs a number `weight` on every edge, and edge (1, 2) has none"),
    ("a.npy", "not numpy", 2, "is not a whole .npy file"),
    ("a.npz", "not numpy", 2, "is not a whole .npz file"),
    ("a.gml", "graph []", 2, "holds no nodes"),
    ("a.txt", "0 1", 2, "unknown kind of topology file"),
    ("a.gz", "0 1", 2, "unknown kind of topology file"),
])
def test_bad_graph_files(tmp_path, name, text, agents, words):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load(str(path), agents)
    assert words in str(caught.value) and str(path) in str(caught.value)


def test_labels_become_agents(tmp_path):
    path = tmp_path / "labels.edgelist"
    path.write_text("# who talks to whom\nb, c\nc a  # the second\nlonely\n")
    assert sorted(map(sorted, load(str(path), 4).graph(0).edges)) == [[0, 1], [1, 2]]
    path.write_text("2 0\n0 1\n")
    assert sorted(map(sorted, load(str(path), 3).graph(0).edges)) == [[0, 1], [0, 2]]


def test_weights_in_files_are_taken_as_they_are(tmp_path):
    path = tmp_path / "weighted.edgelist"
    path.write_text("0 1 0.2\n1 2 0.3\n")
    topology = load(str(path), 3)
    assert topology.weights == "file"
    assert np.allclose(topology.matrix(0).toarray(), [[.8, .2, 0], [.2, .5, .3], [0, .3, .7]], atol=1e-16)
    one_way = {"path": str(path), "directed": True}
    assert np.allclose(load(one_way, 3).matrix(0).toarray(), [[1, 0, 0], [.2, .8, 0], [0, .3, .7]], atol=1e-16)


def test_a_weight_matrix_in_numpy_files_comes_back_entry_by_entry(tmp_path):
    one_way = np.array([[.6, .4, 0], [0, .6, .4], [.4, 0, .6]])
    symmetric = np.array([[.7, .3, 0], [.3, .2, .5], [0, .5, .4]])       # the last row sums to 0.9
    np.save(tmp_path / "W.npy", one_way)
    np.savez(tmp_path / "sets.npz", W=symmetric, other=np.ones(3))
    assert np.array_equal(load(str(tmp_path / "W.npy"), 3).matrix(0).toarray(), one_way)
    assert np.array_equal(load(str(tmp_path / "sets.npz"), 3).matrix(0).toarray(), symmetric)
    assert "row 2, sum to 0.9" in certify(load(str(tmp_path / "sets.npz"), 3)).problems[0]
    for array, words in (("w", "no such array"), ("other", "must hold a square matrix")):
        with pytest.raises(InputError, match=words):
            load({"path": str(tmp_path / "sets.npz"), "array": array}, 3)


def test_relative_paths_are_tried_in_the_experiments_folder_first(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    for folder, text in ((tmp_path, "0 1\n1 2\n"), (tmp_path / "here", "0 1\n1 2\n0 2\n")):
        (folder / "net.edgelist").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert load("net.edgelist", 3, folder=tmp_path / "here").graph(0).number_of_edges() == 3
    assert load("net.edgelist", 3).graph(0).number_of_edges() == 2
    with pytest.raises(InputError) as caught:
        load("none.edgelist", 3, folder=tmp_path / "here")
    assert str(tmp_path / "here" / "none.edgelist") in str(caught.value)
    assert str(tmp_path / "none.edgelist") in str(caught.value)


def test_paths_of_parts_are_found_like_other_paths_and_kept_absolute(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    for folder, text in ((tmp_path, "0 1\n1 2\n"), (tmp_path / "here", "0 1\n1 2\n0 2\n")):
        (folder / "net.edgelist").write_text(text)
    monkeypatch.chdir(tmp_path)
    for spec, absolute in (({"name": "gossip", "base": "net.edgelist", "probability": 1}, str),
                           ({"name": "alternating", "of": ["net.edgelist", "ring"]}, lambda path: [str(path), "ring"])):
        topology = load(spec, 3, folder=tmp_path / "here")
        assert topology.graph(0).number_of_edges() == 3 and topology.foreign
        kept = topology.spec[next(iter(set(spec) - {"name", "probability"}))]
        assert kept == absolute(tmp_path / "here" / "net.edgelist")
        monkeypatch.chdir("/")
        assert load(topology.spec, 3) == topology
        monkeypatch.chdir(tmp_path)
        assert load(spec, 3).graph(0).number_of_edges() == 2


PAIR = """
PARTS = "of"
def graph(t, n, *, of: list = ["ring", "star"], parts):
    assert len(of) == len(parts) == 2 and parts[0].period == parts[0].topology.period
    return nx.compose(nx.Graph(parts[0].graph(t)), nx.Graph(parts[1].graph(t)))
def period(n, *, parts):
    return None if None in (periods := [part.period for part in parts]) else max(periods)
"""


def test_a_file_of_ones_own_is_handed_the_topologies_it_is_made_of(tmp_path):
    (tmp_path / "pair.py").write_text(HEAD + PAIR)
    pair = load({"path": str(tmp_path / "pair.py")}, 5)
    assert pair.period == 1 and pair.graph(0).number_of_edges() == 7          # 5 + 4, of which 2 are the same
    assert pair.spec["of"] == ["ring", "star"] and "parts" not in pair.spec and pair.foreign
    assert load(pair.spec, 5) == pair
    assert load({"path": str(tmp_path / "pair.py"), "of": ["ring", "gossip"]}, 5).period is None


def test_a_file_of_ones_own_that_takes_names_is_given_them(tmp_path):
    (tmp_path / "named.py").write_text(HEAD + """
from netac.topology import load
PARTS = "base"
def graph(t, n, *, base="ring"):
    return load(base, n).graph(t)
""")
    assert load(str(tmp_path / "named.py"), 5).graph(3).number_of_edges() == 5


def test_parts_that_do_not_hold(tmp_path):
    path = tmp_path / "itself.py"
    path.write_text(HEAD + PAIR.replace('"star"', repr(str(path))))
    (tmp_path / "within.py").write_text(HEAD + PAIR.replace('"star"', repr(str(path))))
    for name in ("itself.py", "within.py"):
        with pytest.raises(InputError, match="cannot be a part of itself"):
            load(str(tmp_path / name), 5)
    (tmp_path / "broken.py").write_text(HEAD + "def graph(t, n): return 1 / 0")
    with pytest.raises(InputError, match=r"broken.py: graph\(t=0\) raised ZeroDivisionError"):
        load({"name": "gossip", "base": str(tmp_path / "broken.py")}, 5)


@pytest.mark.parametrize("spec, foreign", [
    ("ring", False), ("gossip", False), ("alternating", False), ("one-peer-exponential", False),
    ({"name": "gossip", "base": "star"}, False), ({"name": "gossip", "base": "graphs/gossip.py"}, True),
    ({"name": "alternating", "of": ["ring", "graphs/office.graphml"]}, True), ("graphs/gossip.py", True),
    ("graphs/office.graphml", True)])
def test_what_users_made_is_told_from_what_is_built_in(spec, foreign):
    assert load(spec, 5).foreign is foreign


def test_numpy_files_that_are_damaged_or_hold_objects(tmp_path):
    np.savez(tmp_path / "cut.npz", W=np.eye(40))
    np.savez(tmp_path / "objects.npz", W=np.array([[None]], dtype=object))
    np.save(tmp_path / "cut.npy", np.eye(40))
    np.save(tmp_path / "objects.npy", np.array([[None]], dtype=object))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (900000000, 900000000), }\n"
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    for name in ("cut.npz", "cut.npy"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:5000])
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(InputError, match=rf"{path}: .*is not a whole {path.suffix} file"):
            load(str(path), 40)
    with pytest.raises(InputError, match="cannot be read: it is a folder"):
        (tmp_path / "W.npy").mkdir()
        load_npy(tmp_path / "W.npy")


def test_a_weight_on_some_edges_only_is_no_weight_to_be_passed_over(tmp_path):
    path = tmp_path / "some.graphml"
    path.write_text('<graphml><key id="w" for="edge" attr.name="weight" attr.type="double"/>'
                    '<graph edgedefault="undirected"><node id="0"/><node id="1"/><node id="2"/>'
                    '<edge source="0" target="1"><data key="w">0.5</data></edge><edge source="1" target="2"/>'
                    '</graph></graphml>')
    with pytest.raises(InputError, match=r"topology\.weights: .* edge \(1, 2\) has none"):
        load(str(path), 3)
    assert load({"path": str(path), "weights": "metropolis"}, 3).matrix(0)[0, 1] == 1 / 3


def test_options_of_a_users_file_are_read_from_its_signature(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from __future__ import annotations\n" + HEAD + "def graph(t, n, k=1, *, s: float = 0.5):\n"
                    "    assert isinstance(k, int)\n    return nx.circulant_graph(n, [k])\n")
    topology = load({"path": str(path), "k": 2, "s": 1}, 5)
    assert topology.spec == {"path": str(path), "k": 2, "s": 1.0, "weights": "metropolis"}
    assert topology.graph(0).has_edge(0, 2) and topology.period is None
    with pytest.raises(InputError, match=r"topology\.k: should be a valid integer"):
        load({"path": str(path), "k": "2"}, 5)
