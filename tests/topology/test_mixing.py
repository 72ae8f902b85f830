"""How fast averaging mixes: the exact number of rounds, and the factor in the long run, against brute force."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from netac.topology import certify, load
from netac.topology.drawing import disagreement
from netac.topology.edges import weight_matrix
from netac.topology.mixing import FEW, Mixing, Product, mixing, spectral_norm, worst_case
from netac.topology.weights import metropolis


def mixing_of(matrices: list[np.ndarray], periodic: bool = True) -> Mixing:
    """What is found of W_0, W_1, ..., given as dense matrices."""
    sparse = [stored(W) for W in matrices]
    return mixing(Product(len(matrices[0]), sparse), lambda t: sparse[t % len(sparse)], periodic)


def stored(W: np.ndarray) -> csr_array:
    """W as topologies have it, with its diagonal."""
    i, j = np.nonzero(W - np.diag(np.diagonal(W)))
    return weight_matrix(len(W), i, j, W[i, j], np.diagonal(W))


def chained(matrices: list[np.ndarray], rounds: int) -> np.ndarray:
    """W_{rounds - 1} ... W_0."""
    periods, rest = divmod(rounds, len(matrices))
    whole = np.eye(len(matrices[0]))
    for W in matrices:
        whole = W @ whole
    product = np.linalg.matrix_power(whole, periods)
    for W in matrices[:rest]:
        product = W @ product
    return product


def norm_after(matrices: list[np.ndarray], rounds: int) -> float:
    """||W_{rounds - 1} ... W_0 - J||_2, by singular values."""
    return float(np.linalg.norm(chained(matrices, rounds) - 1 / len(matrices[0]), 2))


def assert_exact(matrices: list[np.ndarray], rounds: int) -> None:
    """`rounds` is the first at which the product is at the target, up to rounding."""
    assert norm_after(matrices, rounds) <= 1e-6 * (1 + 1e-6)
    assert rounds == 0 or norm_after(matrices, rounds - 1) > 1e-6 * (1 - 1e-6)


@st.composite
def symmetric(draw) -> np.ndarray:
    """Metropolis weights of any graph, connected or not, lazy or not."""
    n = draw(st.shared(st.integers(1, 7), key="n"))
    pairs = [(i, j) for i in range(n) for j in range(i)]
    graph = nx.empty_graph(n)
    graph.add_edges_from(draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else [])
    lazy = draw(st.sampled_from([0.0, 0.5, 0.9]))
    return lazy * np.eye(n) + (1 - lazy) * metropolis.weights(graph).toarray()


@st.composite
def one_way(draw) -> np.ndarray:
    """A mean of permutations that keeps something for every agent: doubly stochastic, and seldom symmetric."""
    n = draw(st.shared(st.integers(1, 7), key="n"))
    shuffled = draw(st.lists(st.permutations(range(n)), min_size=1, max_size=3))
    kept = draw(st.sampled_from([0.1, 0.5, 0.8]))
    return kept * np.eye(n) + sum((1 - kept) / len(shuffled) * np.eye(n)[list(order)] for order in shuffled)


@settings(max_examples=300)
@given(st.lists(st.one_of(symmetric(), one_way()), min_size=1, max_size=4))
def test_rounds_are_the_first_at_which_the_product_is_at_the_target(matrices):
    found, n = mixing_of(matrices), len(matrices[0])
    radius = float(np.abs(np.linalg.eigvals(chained(matrices, len(matrices)) - 1 / n)).max())
    assert found.radius == pytest.approx(radius, rel=1e-6, abs=1e-3)             # eigenvalues of defective matrices
    union = nx.from_numpy_array(sum(matrices))
    if nx.is_connected(union):
        assert_exact(matrices, found.rounds)
        assert found.radius <= found.contraction + 1e-12 and found.radius < 1
    else:
        assert found == Mixing(1.0, 1.0, None)


@settings(max_examples=100)
@given(st.lists(st.one_of(symmetric(), one_way()), min_size=1, max_size=40))
def test_rounds_of_a_sequence_without_a_period_are_within_it_or_none(matrices):
    found, norm = mixing_of(matrices, periodic=False), norm_after(matrices, len(matrices))
    assert found.radius is None and found.contraction == pytest.approx(norm, rel=1e-6, abs=1e-12)
    assume(not 0.999e-6 < norm < 1.001e-6)
    if norm > 1e-6:
        assert found.rounds is None
    else:
        assert_exact(matrices, found.rounds)


@settings(max_examples=60)
@given(symmetric())
def test_of_one_symmetric_matrix_both_numbers_agree(W):
    found = mixing_of([W])
    assert found.radius == found.contraction
    if 0 < found.contraction < 1 and len(W) > 1:
        assert found.rounds == math.ceil((math.log(1e-6) + 1e-9) / math.log(found.contraction))
        assert mixing_of([W, W]).rounds == pytest.approx(found.rounds, abs=1)        # the same, found otherwise


def test_the_two_teams_of_the_documents_need_fewer_rounds_than_the_norm_of_a_period_tells():
    quiet = nx.disjoint_union(nx.cycle_graph(4), nx.cycle_graph(4))
    joined = quiet.copy()
    joined.add_edge(0, 4)
    quiet, joined = (metropolis.weights(graph).toarray() for graph in (quiet, joined))
    found = mixing_of([quiet, quiet, joined])
    assert_exact([quiet, quiet, joined], found.rounds)
    assert found.rounds == 328 and 3 * math.ceil(math.log(1e-6) / math.log(found.contraction)) == 402
    course = [norm_after([quiet, quiet, joined], t) for t in (327, 330)]
    assert found.radius == pytest.approx(course[1] / course[0], rel=1e-9)


@pytest.mark.parametrize("spec, n", [("ring", 9), ("star", 6), ("alternating", 7), ("one-peer-exponential", 6),
                                     ("gossip", 6), ("periodic-complete", 5)])
def test_after_the_certificates_rounds_no_random_start_has_more_than_a_millionth_left(spec, n):
    topology = load(spec, n)
    assert disagreement(topology, certify(topology).mixing.rounds)[-1].max() <= 1e-6 * (1 + 1e-6)


@pytest.mark.parametrize("slow", [0.0, 0.9])
@pytest.mark.parametrize("names", [("ring", "star"), ("one-way ring",), ("tree", "one-way ring"), ("complete", "ring")])
def test_rounds_of_many_agents_are_found_in_few_dimensions(names, slow):
    n = FEW + 20
    known = {"one-way ring": np.eye(n) / 2 + np.roll(np.eye(n), 1, axis=0) / 2}
    matrices = [slow * np.eye(n) + (1 - slow) * (known[name] if name in known else load(name, n).matrix(0).toarray())
                for name in names]
    found = mixing_of(matrices)
    assert_exact(matrices, found.rounds)
    period = chained(matrices, len(matrices))
    assert found.radius == pytest.approx(np.abs(np.linalg.eigvals(period - 1 / n)).max(), rel=1e-7)


def test_hundreds_of_thousands_of_rounds_are_counted_without_going_through_them():
    slow = (1 - 2e-5) * np.eye(3) + 2e-5 * np.eye(3)[[1, 2, 0]]          # three agents in a one-way ring
    found = mixing_of([slow])
    factor = abs(1 - 2e-5 + 2e-5 * np.exp(2j * np.pi / 3))
    assert found.rounds == math.ceil(math.log(1e-6) / math.log(factor)) > 4e5
    assert found.radius == pytest.approx(factor, abs=1e-12)


def test_a_product_that_averages_exactly_after_some_periods_has_radius_0():
    half = np.array([[.5, .5, 0, 0], [.5, .5, 0, 0], [0, 0, .5, .5], [0, 0, .5, .5]])
    swap = np.eye(4)[[0, 2, 1, 3]]
    found = mixing_of([half, swap])
    assert found == Mixing(1.0, 0.0, 3)                                       # half, swap, half: 1/4 everywhere


def test_what_is_not_doubly_stochastic_has_no_rounds():
    found = mixing_of([np.array([[.5, .5], [.2, .8]])])
    assert found.rounds is None and found.radius is None


def test_norms_are_numpys():
    rng = np.random.default_rng(0)
    for matrix in (rng.normal(size=(9, 9)), np.zeros((3, 3)), (half := rng.normal(size=(6, 6))) + half.T):
        assert spectral_norm(matrix) == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-12)
    W = metropolis.weights(nx.path_graph(5))
    assert worst_case(lambda t: W, 5, [0, 3, 7]) == pytest.approx(
        [norm_after([W.toarray()], t) for t in (0, 3, 7)], rel=1e-9)
