"""Every built-in topology with every weight rule that fits it: doubly stochastic, zero off the graph, connected."""

from __future__ import annotations

import math
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from netac.topology import certify, describe, describe_weights, load, names, weight_names
from netac.topology.connectivity import components
from netac.topology.edges import links
from netac.topology.sequence import same_matrix
from netac.topology.weights import file, lazy_metropolis, max_degree, metropolis
from netac.utils.errors import InputError

GALLERY = Path(__file__).parents[2] / "graphs"
DIRECTED = {"one-peer-exponential"}
FAMILIES = [name for name in names() if name != "environment"]       # whose graph is another's
EVERYWHERE = set(FAMILIES) - {"grid", "torus", "hypercube"}
COMPLETE_OR_EMPTY = {"complete", "periodic-complete", "federated", "disconnected"}


def exists(name: str, n: int) -> bool:
    """Whether the family has a graph on n agents, by the mathematics."""
    composite = any(n % r == 0 for r in range(2, n))
    return name in EVERYWHERE or (n & (n - 1) == 0 if name == "hypercube" else n <= 3 or composite)


def rules_for(name: str, n: int) -> list[str]:
    """The weight rules that apply to the family."""
    if name in DIRECTED:
        return ["file"]
    uniform = ["uniform"] if name in COMPLETE_OR_EMPTY else []
    return ["metropolis", "lazy-metropolis", "max-degree", *uniform, *(["fastest"] if n <= 12 else [])]


def assert_sound(topology, times) -> None:
    """Doubly stochastic to 1e-12, no negative weight, zero where the graph has no edge, and the promised format."""
    n = topology.agents
    for t in times:
        W, graph = topology.matrix(t), topology.graph(t)
        dense = W.toarray()
        assert dense.shape == (n, n) and dense.dtype == np.float64
        assert np.abs(dense.sum(axis=0) - 1).max() <= 1e-12
        assert np.abs(dense.sum(axis=1) - 1).max() <= 1e-12
        assert dense.min() >= 0
        allowed = np.eye(n, dtype=bool) | (nx.to_numpy_array(graph, nodelist=range(n), weight=None).T > 0)
        assert not dense[~allowed].any()
        assert W.has_sorted_indices and W.nnz == np.count_nonzero(dense - np.diag(np.diag(dense))) + n
        assert set(graph) == set(range(n)) and not list(nx.selfloop_edges(graph))


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_are_doubly_stochastic_on_every_builtin(name):
    for n in filter(lambda n: exists(name, n), range(1, 41)):
        for rule in rules_for(name, n):
            topology = load({"name": name, "weights": rule}, n)
            assert_sound(topology, range(min(topology.period or 6, 8)))


@pytest.mark.parametrize("name", FAMILIES)
def test_builtins_are_functions_of_t_and_keep_their_period(name):
    topology, again = load(name, 8), load(name, 8)
    for t in range(7):
        graph = topology.graph(t)
        for other in (topology.graph(t), again.graph(t), topology.graph(t + (topology.period or 0))):
            assert nx.utils.graphs_equal(graph, other)


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"disconnected"}))
def test_every_builtin_but_disconnected_has_a_clean_certificate(name):
    for n in filter(lambda n: exists(name, n), (1, 2, 3, 4, 8, 12, 40)):
        found = certify(load(name, n))
        assert found.connected and found.problems == [], (n, found)
        assert 0 <= found.mixing.contraction < 1 and found.mixing.rounds >= (n > 1)
        assert n > 1 or found.B == 1


@pytest.mark.parametrize("name", ["grid", "torus", "hypercube"])
def test_graphs_that_cannot_exist_are_input_errors(name):
    for n in filter(lambda n: not exists(name, n), range(1, 41)):
        with pytest.raises(InputError, match=f"does not exist for {n} agents"):
            load(name, n)


@pytest.mark.parametrize("name, n, edges, degrees", [
    ("complete", 7, 21, {6}), ("ring", 7, 7, {2}), ("path", 7, 6, {1, 2}), ("star", 7, 6, {1, 6}),
    ("grid", 12, 17, {2, 3, 4}), ("torus", 12, 24, {4}), ("torus", 8, 12, {3}), ("torus", 9, 18, {4}),
    ("hypercube", 16, 32, {4}), ("exponential", 9, 27, {6}), ("exponential", 7, 21, {6}), ("tree", 7, 6, {1, 2, 3}),
    ("disconnected", 7, 0, {0}), ("ring", 2, 1, {1}), ("torus", 2, 1, {1}), ("torus", 4, 4, {2})])
def test_families_have_their_edges(name, n, edges, degrees):
    graph = load(name, n).graph(0)
    assert graph.number_of_edges() == edges
    assert {degree for _, degree in graph.degree} == degrees


def test_grid_and_torus_take_their_rows():
    for name, product in (("grid", nx.path_graph), ("torus", nx.cycle_graph)):
        family = product(3), product(5)
        assert nx.is_isomorphic(load({"name": name, "rows": 3}, 15).graph(0), nx.cartesian_product(*family))
    assert nx.is_isomorphic(load({"name": "grid", "rows": 1}, 7).graph(0), nx.path_graph(7))


@pytest.mark.parametrize("k", range(7))
def test_one_peer_exponential_averages_exactly_in_log2_n_steps(k):
    n = 2 ** k
    topology = load("one-peer-exponential", n)
    product = np.eye(n)
    for t in range(k):
        product = topology.matrix(t) @ product
    assert np.abs(product - 1 / n).max() <= 1e-15
    assert topology.period == max(1, k)
    for t in range(k):
        assert sorted(topology.graph(t).edges) == sorted((i, (i + 2 ** t) % n) for i in range(n))


@pytest.mark.parametrize("spec, n, B", [
    ("ring", 6, 1), ("periodic-complete", 4, 5), ({"name": "periodic-complete", "period": 7}, 4, 7),
    ({"name": "periodic-complete", "period": 1}, 4, 1), ("federated", 4, 5), ("alternating", 4, 1),
    ({"name": "alternating", "of": ["ring", "disconnected"]}, 4, 2),
    ({"name": "alternating", "of": ["disconnected", "periodic-complete"]}, 4, 10), ("one-peer-exponential", 8, 3)])
def test_smallest_block_of_the_schedules(spec, n, B):
    assert certify(load(spec, n)).B == B


def test_schedules_follow_their_clock():
    edges = [load({"name": "periodic-complete", "period": 3}, 4).graph(t).number_of_edges() for t in range(7)]
    assert edges == [0, 0, 6, 0, 0, 6, 0]
    turns = load({"name": "alternating", "of": ["ring", "star", "complete"]}, 5)
    assert turns.period == 3 and [turns.graph(t).number_of_edges() for t in range(6)] == [5, 4, 10, 5, 4, 10]
    assert load({"name": "alternating", "of": ["ring", "gossip"]}, 5).period is None


def test_random_families_depend_on_the_seed_and_on_nothing_else():
    for name in ("erdos-renyi", "geometric", "small-world", "gossip"):
        graphs = [load({"name": name, "seed": seed}, 20).graph(3) for seed in (0, 0, 1)]
        assert nx.utils.graphs_equal(graphs[0], graphs[1]) and not nx.utils.graphs_equal(graphs[0], graphs[2])
        assert nx.is_connected(graphs[0]) or name == "gossip"


def test_gossip_activates_edges_of_its_base_with_its_probability():
    topology = load({"name": "gossip", "base": "ring", "probability": 0.25}, 20)
    ring, awake = load("ring", 20).graph(0), 0
    for t in range(200):
        graph = topology.graph(t)
        assert all(ring.has_edge(*edge) for edge in graph.edges)
        awake += graph.number_of_edges()
    assert abs(awake / (200 * 20) - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 4000)


def test_federated_steps_are_the_servers_average():
    topology = load({"name": "federated", "period": 2}, 6)
    assert np.allclose(topology.matrix(1).toarray(), 1 / 6, atol=1e-16)
    assert np.array_equal(topology.matrix(0).toarray(), np.eye(6))


@st.composite
def graphs(draw):
    """Any simple graph on 1..12 agents, connected or not."""
    n = draw(st.integers(1, 12))
    pairs = [(i, j) for i in range(n) for j in range(i)]
    graph = nx.empty_graph(n)
    graph.add_edges_from(draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else [])
    return graph


@settings(max_examples=150)
@given(graphs())
def test_weight_rules_on_any_graph(graph):
    n, degree = len(graph), dict(graph.degree)
    by_hand = np.zeros((n, n))
    for i, j in graph.edges:
        by_hand[i, j] = by_hand[j, i] = 1 / (1 + max(degree[i], degree[j]))
    by_hand += np.diag(1 - by_hand.sum(axis=1))
    assert np.abs(metropolis.weights(graph).toarray() - by_hand).max() <= 1e-15
    assert np.abs(lazy_metropolis.weights(graph).toarray() - (np.eye(n) + by_hand) / 2).max() <= 1e-15
    laplacian = nx.laplacian_matrix(graph, nodelist=range(n)).toarray() if n > 1 else np.zeros((1, 1))
    largest = max(degree.values())
    assert np.abs(max_degree.weights(graph).toarray() - (np.eye(n) - laplacian / (1 + largest))).max() <= 1e-15
    for i, j in graph.edges:
        graph.edges[i, j]["weight"] = by_hand[i, j]
    assert np.abs(file.weights(graph).toarray() - by_hand).max() <= 1e-15


@pytest.mark.parametrize("name, rule, modulus", [
    ("ring", "metropolis", .805), ("ring", "lazy-metropolis", .902), ("ring", "fastest", .745),
    ("star", "metropolis", .875), ("star", "lazy-metropolis", .938), ("star", "fastest", .857)])
def test_second_largest_eigenvalue_moduli(name, rule, modulus):
    topology = load({"name": name, "weights": rule, "min_self_weight": 0}, 8)
    moduli = np.sort(np.abs(np.linalg.eigvalsh(topology.matrix(0).toarray())))
    assert moduli[-2] == pytest.approx(modulus, abs=1e-3)
    assert certify(topology).mixing.contraction == pytest.approx(moduli[-2], abs=1e-12)


def test_fastest_keeps_its_self_weight_and_beats_the_other_rules():
    for name in ("ring", "star", "path", "tree", "erdos-renyi"):
        found = {rule: certify(load({"name": name, "weights": rule}, 9)) for rule in ("metropolis", "fastest")}
        assert found["fastest"].smallest_diagonal >= 0.05 - 1e-12
        assert found["fastest"].spectral_gap >= found["metropolis"].spectral_gap - 1e-7
    heavy = certify(load({"name": "star", "weights": "fastest", "min_self_weight": 0.6}, 5))
    assert heavy.smallest_diagonal == pytest.approx(0.6, abs=1e-7)


def test_fastest_solves_each_component_by_itself(tmp_path):
    path = tmp_path / "two.edgelist"
    path.write_text("0 1\n1 2\n3 4\n")
    W = load({"path": str(path), "weights": "fastest", "min_self_weight": 0}, 5).matrix(0).toarray()
    assert np.allclose(W[3:, 3:], 0.5, atol=1e-6) and not W[:3, 3:].any()
    assert np.allclose(np.sort(np.linalg.eigvalsh(W[:3, :3]))[1], 0.5, atol=1e-6)


def test_names_and_descriptions_come_from_the_files():
    assert {"complete", "ring", "path", "star", "grid", "torus", "hypercube", "exponential", "one-peer-exponential",
            "erdos-renyi", "geometric", "small-world", "tree", "disconnected", "periodic-complete", "gossip",
            "alternating", "federated", "environment"} == set(names())
    assert set(weight_names()) == {"metropolis", "lazy-metropolis", "max-degree", "uniform", "fastest", "file",
                                   "out-degree"}
    lines = [describe(name) for name in names()] + [describe_weights(name) for name in weight_names()]
    assert all(10 < len(line) < 130 for line in lines) and len(set(lines)) == len(lines)


@pytest.mark.parametrize("path", sorted(p for p in GALLERY.iterdir() if p.suffix not in ("", ".md")),
                         ids=lambda path: path.name)
def test_gallery_is_sound_for_the_sample_experiments_five_agents(path):
    topology = load(str(path), 5)
    assert_sound(topology, range(10))
    found = certify(topology)
    assert found.connected and found.problems == [] and found.smallest_diagonal > 0
    assert f"`{path.name}`" in (GALLERY / "README.md").read_text()


@pytest.mark.parametrize(("spec", "made"), [
    ("complete", lambda t, n: nx.complete_graph(n)), ("disconnected", lambda t, n: nx.empty_graph(n)),
    ({"name": "periodic-complete", "period": 3}, lambda t, n: nx.complete_graph(n) if t == 2 else nx.empty_graph(n))])
def test_graphs_as_arrays_are_those_of_networkx_edge_by_edge(spec, made):
    for n in range(1, 12):
        topology = load(spec, n)
        for t in range(topology.period):
            arrays, graph = topology.as_given(t), made(t, n)
            assert len(arrays) == len(graph) and arrays.number_of_edges() == graph.number_of_edges()
            assert np.array_equal(np.stack(links(arrays)), np.stack(links(graph)))
            assert list(topology.graph(t).edges()) == list(graph.edges())
            assert same_matrix(topology.matrix(t), topology.rule(graph))


def test_few_agents_are_connected_or_not_as_scipy_says():
    rng = np.random.default_rng(1)
    for _ in range(200):
        n = int(rng.integers(1, 9))
        i, j = rng.integers(0, n, (2, int(rng.integers(0, 3 * n))))
        codes = np.unique(i * n + j)if n > 1 else np.empty(0, dtype=np.int64)
        codes = codes[codes // n != codes % n]
        dense = np.zeros((n, n))
        dense[codes // n, codes % n] = 1
        count, label = connected_components(dense, directed=True, connection="strong")
        found, labels = components(codes, n)
        assert found == count and np.array_equal(np.unique(labels, return_inverse=True)[1],
                                                 np.unique(label, return_inverse=True)[1])
