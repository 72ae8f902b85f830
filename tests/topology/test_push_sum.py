"""Push-sum against plain loops over agents, and what the certificate asks of weights with and without it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.experiment import config
from netac.experiment.run import checked_setting
from netac.topology import certify, load
from netac.topology import push_sum as module
from netac.topology.drawing import disagreement, draw
from netac.topology.edges import as_networkx
from netac.topology.push_sum import push_sum, shares
from netac.topology.weights import metropolis, out_degree
from netac.utils.errors import InputError, RunError

TARGET = 1e-6


def a_round(graph: nx.DiGraph, x: np.ndarray) -> np.ndarray:
    """Every agent divides what it has among itself and those that hear it."""
    after = np.zeros_like(x)
    for j in graph:
        listeners = list(graph.successors(j))
        for i in [j, *listeners]:
            after[i] += x[j] / (1 + len(listeners))
    return after


def error(graphs: list[nx.DiGraph], rounds: int) -> float:
    """sqrt(sum_i w_i (z_i - mean)^2) of the worst start whose values differ by 1 from their mean, root of the sum."""
    n = len(graphs[0])
    x, w = np.eye(n), np.ones(n)
    for t in range(rounds):
        x, w = a_round(graphs[t % len(graphs)], x), a_round(graphs[t % len(graphs)], w)
    ratios = x / w[:, None] - 1 / n
    return float(np.linalg.svd(np.sqrt(w)[:, None] * ratios, compute_uv=False)[0])


def weights_of(graphs: list[nx.DiGraph]):
    matrices = [out_degree.weights(graph) for graph in graphs]
    return lambda t: matrices[t % len(matrices)]


@st.composite
def sequences(draw) -> list[nx.DiGraph]:
    """One to three directed graphs of one to six agents, of which the first has a cycle through all of them."""
    n = draw(st.integers(1, 6))
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    graphs = []
    for _ in range(draw(st.integers(1, 3))):
        graph = nx.DiGraph()
        graph.add_nodes_from(range(n))
        graph.add_edges_from(draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else [])
        graphs.append(graph)
    graphs[0].add_edges_from((i, (i + 1) % n) for i in range(n) if n > 1)
    return graphs


@settings(max_examples=100)
@given(sequences())
def test_rounds_radius_and_facts_are_those_of_plain_loops(graphs):
    n, T = len(graphs[0]), len(graphs)
    found = push_sum(weights_of(graphs), T, True, True)
    assert error(graphs, found.rounds) <= TARGET * (1 + 1e-6)
    assert found.rounds == 0 or error(graphs, found.rounds - 1) > TARGET * (1 - 1e-6)
    product = np.eye(n)
    for graph in graphs:
        product = np.array([a_round(graph, column) for column in product.T]).T
    moduli = np.sort(np.abs(np.linalg.eigvals(product)))[::-1]
    assert found.radius == pytest.approx(moduli[1] if n > 1 else 0, abs=1e-6)
    assert found.column_error < 1e-14
    assert found.smallest_weight == min(1 / (1 + d) for graph in graphs for _, d in graph.out_degree)


@settings(max_examples=25)
@given(sequences())
def test_no_round_lets_the_error_grow(graphs):
    assert all(after <= before + 1e-14 for before, after in pairwise(error(graphs, t) for t in range(8)))


@settings(max_examples=50)
@given(sequences())
def test_out_degree_weights_are_the_shares_of_plain_loops(graphs):
    A = out_degree.weights(graphs[0])
    by_loops = np.array([a_round(graphs[0], column) for column in np.eye(len(graphs[0]))]).T
    assert np.allclose(A.toarray(), by_loops, rtol=0, atol=1e-15)
    assert (shares(A) != A).nnz == 0 and A.has_sorted_indices


@pytest.mark.parametrize("spec", ["ring", "torus", "exponential", "one-peer-exponential", "complete",
                                  {"name": "periodic-complete", "period": 3}])
def test_where_everybody_has_as_many_listeners_push_sum_is_averaging(spec):
    for n in (4, 9, 36):
        plain = certify(load(spec, n))
        pushed = certify(load(spec, n, push_sum=True))
        assert pushed.mixing is None and pushed.problems == []
        assert pushed.push_sum.rounds == plain.mixing.rounds
        assert 1 - pushed.push_sum.radius == pytest.approx(plain.spectral_gap, abs=1e-6)


def test_graphs_that_never_connect_are_never_averaged_and_windows_end():
    apart = load("disconnected", 5, push_sum=True)
    found = certify(apart)
    assert found.push_sum.rounds is None and found.push_sum.radius == 1 and found.disconnected
    assert dict(found.as_rows())["push-sum: rounds until 1e-06"] == "never"
    gossip = load("gossip", 4, push_sum=True)
    short, long = certify(gossip, steps=5), certify(gossip, steps=200)
    assert dict(short.as_rows())["push-sum: rounds until 1e-06"] == "more than 5" and short.push_sum.radius is None
    graphs = [as_networkx(gossip.graph(t)).to_directed() for t in range(200)]
    assert error(graphs, long.push_sum.rounds) <= TARGET < error(graphs, long.push_sum.rounds - 1)


def test_agents_that_are_hardly_heard_do_not_spoil_the_numbers():
    """Everybody tells the first agent, and the first one only the second: w falls off along the path."""
    n = 14
    graph = nx.DiGraph([(i, i + 1) for i in range(n - 1)] + [(i, 0) for i in range(1, n)])
    found = push_sum(weights_of([graph]), 1, True, True)
    assert error([graph], found.rounds) <= TARGET < error([graph], found.rounds - 1)


def test_many_agents_have_an_estimate(monkeypatch):
    exact = certify(load("star", 40, push_sum=True)).push_sum
    monkeypatch.setattr(module, "LARGEST_DENSE", 30)
    about = certify(load("star", 40, push_sum=True))
    assert about.push_sum.rounds is None and about.push_sum.radius == pytest.approx(exact.radius, abs=1e-8)
    assert abs(about.push_sum.estimate - exact.rounds) < 0.2 * exact.rounds
    assert dict(about.as_rows())["push-sum: rounds until 1e-06"] == f"about {about.push_sum.estimate}"


WAY = """import networkx as nx
PERIOD = 1
def graph(t, n):
    g = nx.DiGraph([(i, (i + 1) % n) for i in range(n)])
    g.add_edge(0, 2)
    return g
"""


@pytest.fixture
def way(tmp_path):
    """A directed graph whose agents have one or two listeners."""
    path = tmp_path / "way.py"
    path.write_text(WAY)
    return {"path": str(path), "weights": "out-degree"}


def test_rows_need_not_sum_to_1_with_push_sum_and_columns_must(way, tmp_path):
    refused = certify(load(way, 5))
    assert refused.problems == ["W_0 is not doubly stochastic: the weights with which agent 2 hears, row 2, sum to "
                                "1.333333333"]
    assert "push-sum = true in the experiment's table [network]" in refused.remedy
    with pytest.raises(RunError, match="not doubly stochastic"):
        replace(load(way, 5)).matrix(0)            # without the matrix that loading has kept
    taken = certify(load(way, 5, push_sum=True))
    assert taken.problems == [] and taken.remedy is None and taken.B == 1
    assert replace(load(way, 5, push_sum=True)).matrix(0).toarray()[1, 0] == 1 / 3
    path = tmp_path / "rows.py"
    path.write_text("import networkx as nx\ndef graph(t, n):\n    g = nx.DiGraph([(0, 1), (1, 0), (0, 2), (2, 1)])\n"
                    "    nx.set_edge_attributes(g, 0.3, 'weight')\n    return g\nWEIGHTS = 'file'\n")
    rows = certify(load(str(path), 3, push_sum=True), steps=1)
    assert len(rows.problems) == 1 and rows.problems[0].startswith("W_0 is not column stochastic: ")
    assert "push-sum" not in rows.remedy and "whose columns sum to 1" in rows.remedy


def test_weights_of_regular_graphs_are_taken_without_push_sum_and_built_in_graphs_are_checked():
    assert certify(load({"name": "ring", "weights": "out-degree"}, 5)).problems == []
    star = load({"name": "star", "weights": "out-degree"}, 5)
    with pytest.raises(RunError, match="row 0, sum to"):
        replace(star).matrix(0)
    assert 'weights = "metropolis", or push-sum = true' in certify(star).remedy


def test_the_remedy_of_the_message_works(way):
    tables = {"agents": 5, "iterations": 10, "env": "coordination", "topology": way, "algorithm": "cac"}
    with pytest.raises(InputError) as refused:
        checked_setting(config.read(tables))
    assert "push-sum = true in the experiment's table [network]" in str(refused.value)
    setting = checked_setting(config.read(tables | {"network": {"push-sum": True}}))
    assert setting.topology.push_sum and not load(way, 5).push_sum
    directed = InputError("")
    try:
        load(way | {"weights": "metropolis"}, 5)
    except InputError as error:
        directed = error
    assert 'weights = "out-degree" with push-sum = true in the table [network]' in str(directed)


def test_the_picture_shows_ratios(way, tmp_path):
    topology = load(way, 5, push_sum=True)
    found = certify(topology)
    assert disagreement(topology, found.push_sum.rounds)[-1].max() < 3e-6
    draw(topology, tmp_path / "way.png", certificate=found)
    assert (tmp_path / "way.png").stat().st_size > 5000


def test_shares_take_no_note_of_weights():
    graph = nx.path_graph(4)
    W = metropolis.weights(graph)
    assert np.array_equal(shares(W).toarray(), out_degree.weights(graph).toarray())
