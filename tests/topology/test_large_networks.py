"""Networks too large for dense products: bounds by sparse ones against the dense certificate and closed forms."""

from __future__ import annotations

import math
import tracemalloc
from unittest import mock

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array, csr_array

from netac.topology import Certificate, Topology, certificate, certify, expected_extent, load, spectrum
from netac.topology.bounds import Bounds, near_one
from netac.topology.connectivity import smallest_block
from netac.topology.edges import EdgeGraph, as_networkx, edges_of, from_edges
from netac.topology.large import Factors, large_mixing
from netac.topology.mixing import Mixing, Product, mixing
from netac.topology.spectrum import TOLERANCE, Eigenvalue, smallest

ROUNDED = 1e-11


def sparse(topology: Topology, steps: int | None = None) -> Certificate:
    """The certificate as of a large network, whatever its size."""
    with mock.patch.object(certificate, "LARGEST_SPECTRUM", 0):
        return certify(topology, steps)


def hold(bounds: Bounds, exact: Mixing) -> None:
    """Bounds contain what dense products tell."""
    assert bounds.loss[0] - ROUNDED <= 1 - exact.contraction <= bounds.loss[1] + ROUNDED
    if bounds.gap is not None:
        assert exact.radius is not None
        assert bounds.gap[0] - 1e-6 <= 1 - exact.radius      # dense eigenvalues of defective matrices are no better
        assert bounds.gap[1] is None or 1 - exact.radius <= bounds.gap[1] + 1e-8
    fewest, most = bounds.rounds
    if exact.rounds is None:
        assert most is None
    else:
        assert fewest <= exact.rounds and (most is None or exact.rounds <= most)


def random_graph(draw: st.DrawFn, n: int) -> nx.Graph:
    """A random connected graph of any density, or a long one with short cuts."""
    seed, shape = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from(["tree", "ring", "dense"]))
    rng = np.random.default_rng(seed)
    graph = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from((i, i - 1 if shape == "ring" else int(rng.integers(i))) for i in range(1, n))
    further = rng.integers(n, size=(draw(st.integers(0, n if shape == "dense" else 5)), 2)).tolist()
    graph.add_edges_from((u, v) for u, v in further if u != v)
    return graph


def static(graph: nx.Graph, weights: str) -> Topology:
    """The topology of one graph."""
    named = load({"name": "complete", "weights": weights}, 2)
    return Topology("random", len(graph), weights, 1, {}, lambda t: graph, named.rule, foreign=False)


@settings(max_examples=60)
@given(st.data(), st.integers(5, 200), st.sampled_from(["metropolis", "lazy-metropolis", "max-degree"]))
def test_the_gap_of_a_symmetric_matrix_is_the_dense_one(data, n, weights):
    topology = static(random_graph(data.draw, n), weights)
    exact, found = certify(topology).mixing, sparse(topology).mixing
    hold(found.bounds, exact)
    gap = 1 - exact.radius
    assert found.bounds.gap[1] == pytest.approx(gap, rel=TOLERANCE, abs=1e-13)
    assert found.bounds.gap[1] - found.bounds.gap[0] <= 1.01 * TOLERANCE * gap + 1e-15
    assert found.radius == pytest.approx(exact.radius, abs=1e-11)


@settings(max_examples=40)
@given(st.integers(5, 120), st.integers(1, 4), st.floats(0.02, 0.9), st.integers(0, 2**32 - 1))
def test_the_contraction_of_one_way_weights_is_the_dense_one(n, permutations, own, seed):
    rng = np.random.default_rng(seed)
    W = own * np.eye(n)
    for _ in range(permutations):
        W += (1 - own) / permutations * np.eye(n)[rng.permutation(n)]
    matrix = csr_array(W)
    exact = mixing(Product(n, [matrix]), lambda t: matrix, True)
    connected = nx.is_strongly_connected(nx.from_numpy_array(W, create_using=nx.DiGraph))
    found = large_mixing(Factors(n, [matrix]), True, connected)
    if not connected:
        assert found == Mixing(1.0, 1.0, None) and exact.rounds is None
        return
    hold(found.bounds, exact)
    assert found.contraction == pytest.approx(exact.contraction, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(("spec", "n", "steps"), [
    ("gossip", 30, 40), ({"name": "gossip", "base": "ring"}, 40, 60), ("alternating", 50, None),
    ({"name": "gossip", "base": "torus", "probability": 0.5}, 36, 90), ("one-peer-exponential", 16, None),
    ("one-peer-exponential", 23, None), ({"name": "periodic-complete", "period": 4}, 12, None), ("federated", 7, None),
    ("hypercube", 64, None), ("complete", 20, None), ({"name": "alternating", "of": ["ring", "torus"]}, 25, None),
    ({"name": "complete", "weights": "uniform"}, 20, None), ("star", 40, None), ("geometric", 60, None)])
def test_bounds_hold_for_the_families(spec, n, steps):
    topology = load(spec, n)
    exact, found = certify(topology, steps), sparse(topology, steps)
    hold(found.mixing.bounds, exact.mixing)
    assert found.mixing.contraction == pytest.approx(exact.mixing.contraction, rel=1e-6, abs=1e-7)
    assert [name for name, _ in found.as_rows()] == [name for name, _ in exact.as_rows()]
    if topology.period is None or exact.mixing.rounds <= topology.period:
        assert found.mixing.rounds == exact.mixing.rounds


@pytest.mark.parametrize(("spec", "n", "gap"), [
    ("ring", 100_000, 4 / 3 * math.sin(math.pi / 100_000) ** 2),
    ("path", 30_001, 4 / 3 * math.sin(math.pi / 60_002) ** 2),
    ({"name": "torus", "rows": 60}, 4500, 2 / 5 * (1 - math.cos(2 * math.pi / 75))),
    ("star", 5000, 1 / 5000), ("complete", 2100, 1.0), ("hypercube", 4096, 2 / 13)])
def test_gaps_of_large_networks_have_their_closed_forms(spec, n, gap):
    found = certify(load(spec, n))
    low, high = found.mixing.bounds.gap
    assert found.spectral_gap == high == pytest.approx(gap, rel=2e-6)
    assert low <= gap * (1 + 1e-6) and gap <= high * (1 + 1e-6)
    fewest, most = found.mixing.bounds.rounds
    rounds = math.ceil(math.log(1e-6) / math.log1p(-gap)) if gap < 1 else 1
    assert fewest - 1 <= rounds <= most + 1
    assert most - fewest <= 1e-5 * rounds
    rows = dict(found.as_rows())
    assert "products, error below" in rows["spectral gap"] and rows["spectral gap"].startswith(f"{high:.6g} (")


def weak_link(n: int) -> nx.Graph:
    """A graph of random chords on half of the agents, the others in a line that hangs from it."""
    graph = nx.random_regular_graph(4, n // 2, seed=1)
    nx.add_path(graph, range(n // 2 - 1, n))
    return graph


@pytest.mark.parametrize("graph", [weak_link(1200), nx.barbell_graph(40, 900), nx.connected_watts_strogatz_graph(
    1500, 4, 0.01, seed=1), nx.convert_node_labels_to_integers(nx.grid_2d_graph(12, 100))],
    ids=["weak link", "barbell", "short cuts", "grid"])
def test_networks_with_bottlenecks_have_the_gap_of_dense_eigenvalues(graph):
    topology = static(graph, "metropolis")
    eigenvalues = np.linalg.eigvalsh(np.eye(len(graph)) - topology.matrix(0).toarray())
    assert sparse(topology).spectral_gap == pytest.approx(eigenvalues[1], rel=2e-6)


def test_the_most_negative_eigenvalue_counts():
    n = 60
    ring = from_edges(n, (np.arange(n), (np.arange(n) + 1) % n))

    def restless(graph):        # almost a swap with the two neighbours: lambda_N = -1 + 2e-4
        i = np.arange(n)
        return csr_array(coo_array((np.repeat([1e-4, 0.49995, 0.49995], n), (np.tile(i, 3), np.concatenate(
            [i, (i + 1) % n, (i - 1) % n]))), shape=(n, n)))

    topology = Topology("restless", n, "restless", 1, {}, lambda t: ring, restless)
    exact, found = certify(topology), sparse(topology)
    assert exact.spectral_gap == pytest.approx(2e-4) and found.spectral_gap == pytest.approx(2e-4, rel=1e-5)
    hold(found.mixing.bounds, exact.mixing)


@pytest.mark.parametrize(("spec", "n"), [("ring", 1), ("gossip", 1), ("ring", 2), ("one-peer-exponential", 2),
                                         ("ring", 3), ("disconnected", 2), ("disconnected", 9), ("path", 4)])
def test_the_smallest_networks_and_those_that_fall_apart(spec, n):
    exact, found = certify(load(spec, n)), sparse(load(spec, n))
    assert found.mixing.contraction == pytest.approx(exact.mixing.contraction, abs=1e-9)
    assert found.mixing.rounds == exact.mixing.rounds and found.B == exact.B
    assert found.spectral_gap == pytest.approx(exact.spectral_gap, abs=1e-9) or exact.spectral_gap is None


def test_a_large_network_that_falls_apart_never_agrees():
    found = certify(load("disconnected", 3000))
    assert found.mixing == Mixing(1.0, 1.0, None) and dict(found.as_rows())["spectral gap"] == "0"
    assert found.disconnected.startswith("the graph is not connected: {0} never hears from {1, 2,")


def test_weights_that_do_not_average_have_no_bounds(tmp_path):
    path = tmp_path / "leaks.py"
    path.write_text("import networkx as nx\nWEIGHTS = 'file'\nPERIOD = 1\ndef graph(t, n):\n"
                    "    g = nx.path_graph(n)\n    nx.set_edge_attributes(g, 0.2, 'weight')\n"
                    "    nx.set_node_attributes(g, 0.7, 'self_weight')\n    return g\n")
    found = certify(load(str(path), 2500))
    assert found.mixing is None and found.spectral_gap is None and "row" in " ".join(found.problems)


def test_what_did_not_converge_is_said_and_its_bounds_hold(monkeypatch):
    monkeypatch.setattr(spectrum, "_LONGEST", 40)
    monkeypatch.setattr(spectrum, "_davidson", lambda A: Eigenvalue(1.0, 1.0, "Davidson, 0 products", 0.0))
    topology = load("ring", 400)
    exact, found = certify(topology), sparse(topology)
    hold(found.mixing.bounds, exact.mixing)
    assert found.mixing.bounds.gap[0] == 0 and found.mixing.bounds.rounds[1] is None and found.mixing.rounds is None
    rows = dict(found.as_rows())
    assert rows["spectral gap"].endswith("at most (Lanczos, 40 products, did not converge)")
    assert "at least" in rows["contraction over these iterations"]
    assert rows["rounds until disagreement is 1e-06"].endswith("at least")


def test_a_radius_that_is_not_found_is_bounded_by_the_contraction(monkeypatch):
    monkeypatch.setattr("netac.topology.large.largest_modulus", lambda apply, n: None)
    topology = load("alternating", 30)
    exact, found = certify(topology), sparse(topology)
    hold(found.mixing.bounds, exact.mixing)
    assert found.spectral_gap is None and found.mixing.radius is None
    assert dict(found.as_rows())["spectral gap of a period"].endswith("at least (Arnoldi did not converge)")


@pytest.mark.parametrize("whole", [0, 2e7])
def test_incomplete_factorisations_give_what_whole_ones_give(whole, monkeypatch):
    monkeypatch.setattr(spectrum, "_WHOLE", whole)
    monkeypatch.setattr(spectrum, "_LONGEST", 30)
    gap = 4 / 3 * math.sin(math.pi / 1500) ** 2
    assert sparse(load("ring", 1500)).spectral_gap == pytest.approx(gap, rel=2e-6)


def test_an_eigenvalue_is_the_same_each_time():
    W = load("small-world", 3000).matrix(0)
    first, second = (smallest(lambda x: x - W @ x, 3000, lambda: None) for _ in range(2))
    assert first == second and first.found


def test_products_that_average_are_not_kept():
    product = Factors(40, [load("complete", 40).matrix(0)] * 3)
    assert product.rounds == 3 and len(product.first(3)) == 1


def test_numbers_near_one():
    assert (near_one(1e-9), near_one(0.25), near_one(0), near_one(1)) == ("1 - 1e-09", "0.75", "1", "0")
    half_known = Bounds((1e-9, 2e-9), (1e-9, 2e-9), (7, 9), "Lanczos, 5 products")
    assert half_known.gap_in_words() == "1e-09 to 2e-09 (Lanczos, 5 products, did not converge)"
    assert half_known.rounds_in_words() == "7 to 9"


@settings(max_examples=200)
@given(st.integers(1, 9), st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=40), st.booleans())
def test_arrays_list_edges_as_networkx_does(n, pairs, directed):
    pairs = [(u % n, v % n) for u, v in pairs]
    graph = nx.DiGraph() if directed else nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from((u, v) for u, v in pairs if u != v)
    u, v = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    made = from_edges(n, (u, v), directed=directed)
    listed = list(zip(*(side.tolist() for side in edges_of(made)), strict=True))
    assert listed == list(graph.edges()) == list(zip(*(side.tolist() for side in edges_of(graph)), strict=True))
    assert (len(made), made.number_of_edges(), made.is_directed()) == (n, graph.number_of_edges(), directed)
    assert nx.utils.graphs_equal(as_networkx(made), graph)


@pytest.mark.parametrize(("name", "theirs"), [("path", nx.path_graph), ("complete", nx.complete_graph),
                                              ("disconnected", nx.empty_graph), ("ring", nx.cycle_graph),
                                              ("star", lambda n: nx.star_graph(n - 1))])
def test_a_topology_of_arrays_gives_networkx_graphs(name, theirs):
    for n in (3, 4, 11):
        topology = load(name, n)
        assert isinstance(topology.as_given(0), EdgeGraph)
        assert nx.utils.graphs_equal(topology.graph(0), theirs(n))


@settings(max_examples=60)
@given(st.integers(5, 60), st.integers(1, 6), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_connectivity_over_steps_is_networkxs(n, steps, seed, directed, periodic):
    rng = np.random.default_rng(seed)
    graphs = [from_edges(n, tuple(rng.integers(n, size=(2, rng.integers(3 * n)))), directed=directed)
              for _ in range(steps)]
    found = smallest_block([certificate._codes(graph) for graph in graphs], n, periodic)

    def connected(first: int, B: int) -> bool:
        union = nx.compose_all([as_networkx(graphs[t % steps]) for t in range(first, first + B)])
        return nx.is_strongly_connected(union) if directed else nx.is_connected(union)

    holds = [B for B in range(1, steps + 1)
             if all(connected(block * B, B) for block in range(steps if periodic else steps // B))]
    assert found == (holds[0] if holds else None)


@pytest.mark.parametrize(("spec", "n"), [("ring", 200_000), ("complete", 1500), ("small-world", 40_000),
                                         ({"name": "alternating", "of": ["ring", "exponential"]}, 30_000)])
def test_sizes_are_within_a_factor_of_two(spec, n):
    expected = expected_extent(spec).nbytes(n)
    tracemalloc.start()
    try:
        topology = load(spec, n)
        certify(topology, spectrum=False)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert topology.extent.nbytes(n) == expected
    assert expected / 2 <= taken <= 2 * expected
