"""Bad topologies, made by hand: each gives an InputError, or a problem in the certificate, with the right words."""

from __future__ import annotations

import numpy as np
import pytest

from netac.errors import InputError, RunError
from netac.topology import certify, load

HEAD = "import networkx as nx\n"


@pytest.mark.parametrize("spec, words", [
    ("rnig", "topology.name: there is no topology called 'rnig' (did you mean 'ring'?)"),
    ("periodic_complete", "did you mean 'periodic-complete'?"),
    ({"name": "ring", "weights": "metropolois"}, "topology.weights: there is no weight rule called"),
    ({"name": "periodic-complete", "peroid": 5}, "topology.peroid: unknown option (did you mean 'period'?)"),
    ({"name": "periodic-complete", "wieghts": "metropolis"}, "did you mean 'weights'?"),
    ({"name": "periodic-complete", "period": 0}, "topology.period: input should be greater than or equal to 1"),
    ({"name": "periodic-complete", "period": 2.5}, "topology.period: input should be a valid integer"),
    ({"name": "periodic-complete", "period": True}, "topology.period: input should be a valid integer"),
    ({"name": "periodic-complete", "period": "5"}, "topology.period: input should be a valid integer"),
    ({"name": "gossip", "probability": float("nan")}, "topology.probability"),
    ({"name": "gossip", "probability": 1.5}, "topology.probability: input should be less than or equal to 1"),
    ({"name": "gossip", "base": "rign"}, "did you mean 'ring'?"),
    ({"name": "alternating", "of": []}, "topology.of"),
    ({"name": "alternating", "of": "ring"}, "topology.of"),
    ({"name": "small-world", "neighbours": 3}, "topology.neighbours: input should be a multiple of 2"),
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
    ({"name": "ring", "rows": 2}, "topology.rows: unknown option"),
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
    ("def grpah(t, n):\n    return 1\n", "has no function graph(t, n)"),
    ("graph = 3\n", "has no function graph(t, n)"),
    ("def graph(t):\n    return 1\n", "graph(...) takes too few arguments"),
    ("def graph(t, n, **more):\n    return 1\n", "graph(...) must name its options"),
    ("def graph(t, n, *, k):\n    return 1\n", "topology.k: this option has no default"),
    ("def graph(t, n, *, weights='x'):\n    return 1\n", "an option 'weights', a key that has a meaning of its own"),
    ("from __future__ import annotations\ndef graph(t, n, *, k: Nope = 1):\n    return 1\n",
     "annotation that cannot be read"),
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


SETUP = HEAD + "WEIGHTS = 'file'\nPERIOD = 1\ndef graph(t, n):\n    g = nx.empty_graph(n, create_using=nx.DiGraph)\n"


@pytest.mark.parametrize("code, problems", [
    (SETUP + "    g.add_weighted_edges_from([(0, 1, .5), (1, 2, .4), (2, 0, .3)])\n    return g\n",
     ["W_0 is not doubly stochastic: column 0 sums to 1.2"]),
    (SETUP + "    g.add_weighted_edges_from([(0, 1, 1), (1, 2, 1), (2, 0, 1)])\n    return g\n",
     ["the diagonal of W_0 is 0 at agent 0: Assumption 2 asks W_ii >= c > 0"]),
    (SETUP + "    g.add_weighted_edges_from((i, j, .8) for i in range(3) for j in range(3) if i != j)\n    return g\n",
     ["W_0 has the negative weight -0.6 at (0, 0)"]),
    (SETUP + "    g.add_weighted_edges_from((i, j, .3) for i in range(3) for j in range(3) if i != j)\n"
     "    g.nodes[1]['self_weight'] = .3\n    return g\n",
     ["W_0 is not doubly stochastic: row 1 sums to 0.9", "W_0 is not doubly stochastic: column 1 sums to 0.9"]),
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
    assert any("not doubly stochastic: column" in sentence for sentence in found.problems)


@pytest.mark.parametrize("name, text, agents, words", [
    ("a.edgelist", "0 1\n1 2\n", 4, "a graph of 3 nodes for 4 agents"),
    ("a.edgelist", "0 1\n1 0\n", 2, "line 2 lists an edge a second time"),
    ("a.edgelist", "0 1 heavy\n", 2, "line 1 is no edge (found '0 1 heavy'"),
    ("a.edgelist", "0 1 2 3\n", 2, "line 1 is no edge"),
    ("a.edgelist", "0 0\n0 1\n", 2, "the self loop (0, 0)"),
    ("a.edgelist", "0 1 nan\n", 2, "is not a finite number"),
    ("a.graphml", "<graphml><graph>", 2, "cannot be read as GraphML"),
    ("a.graphml", "not xml", 2, "cannot be read as GraphML"),
    ("a.graphml", "<x/>", 2, "cannot be read as GraphML"),
    ("a.npy", "not numpy", 2, "cannot be read as .npy"),
    ("a.npz", "not numpy", 2, "cannot be read as .npz"),
    ("a.gml", "graph []", 2, "unknown kind of topology file"),
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
    assert "row 2 sums to 0.9" in certify(load(str(tmp_path / "sets.npz"), 3)).problems[0]
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


def test_options_of_a_users_file_are_read_from_its_signature(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from __future__ import annotations\n" + HEAD + "def graph(t, n, k=1, *, s: float = 0.5):\n"
                    "    assert isinstance(k, int)\n    return nx.circulant_graph(n, [k])\n")
    topology = load({"path": str(path), "k": 2, "s": 1}, 5)
    assert topology.spec == {"path": str(path), "k": 2, "s": 1.0, "weights": "metropolis"}
    assert topology.graph(0).has_edge(0, 2) and topology.period is None
    with pytest.raises(InputError, match=r"topology\.k: input should be a valid integer"):
        load({"path": str(path), "k": "2"}, 5)
