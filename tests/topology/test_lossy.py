"""Averaging with lost messages against all patterns of loss one by one, plain simulation, and Fourier's closed form."""

from __future__ import annotations

import math
from itertools import product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.topology import certify, load
from netac.topology import lossy as module
from netac.topology.edges import weight_matrix
from netac.topology.lossy import expected, lossy, second_moment
from netac.topology.weights import metropolis


def patterns(W: np.ndarray, p: float, both_ways: bool):
    """Every matrix that a round may have, and its probability: a lost message's weight is the receiver's own."""
    n = len(W)
    links = [(i, j) for i in range(n) for j in range(n) if i != j and W[i, j]]
    losses = sorted({(min(link), max(link)) if both_ways else link for link in links})
    for lost in product((False, True), repeat=len(losses)):
        gone = {loss for loss, is_lost in zip(losses, lost, strict=True) if is_lost}
        made = W.copy()
        for i, j in links:
            if ((min(i, j), max(i, j)) if both_ways else (i, j)) in gone:
                made[i, i] += made[i, j]
                made[i, j] = 0.0
        yield made, math.prod(p if is_lost else 1 - p for is_lost in lost)


def squared(W: np.ndarray, p: float, both_ways: bool) -> np.ndarray:
    """E[W (x) W], which makes of vec(x x') the one of the next round in mean, (n^2, n^2)."""
    return sum(chance * np.kron(made, made) for made, chance in patterns(W, p, both_ways))


def period_squared(matrices: list[np.ndarray], p: float, both_ways: bool) -> np.ndarray:
    whole = np.eye(len(matrices[0]) ** 2)
    for W in matrices:
        whole = squared(W, p, both_ways) @ whole
    return whole


def worst_mean_square(matrices: list[np.ndarray], p: float, both_ways: bool, rounds: int) -> float:
    """The largest E|(I - J) x_t|^2 of a start with |x_0| = 1 that adds up to 0."""
    n, squares = len(matrices[0]), [squared(W, p, both_ways) for W in matrices]
    Q = (np.eye(n) - 1 / n).ravel()
    for t in reversed(range(rounds)):
        Q = Q @ squares[t % len(squares)]
    Q = Q.reshape(n, n)
    return float(np.linalg.eigvalsh((Q + Q.T) / 2)[-1])


def sparse(W: np.ndarray):
    i, j = np.nonzero(W - np.diag(np.diagonal(W)))
    return weight_matrix(len(W), i, j, W[i, j], np.diagonal(W))


@st.composite
def weights(draw) -> np.ndarray:
    """Doubly stochastic, of two to four agents, symmetric or not, connected or not."""
    n = draw(st.shared(st.integers(2, 4), key="n"))
    if draw(st.booleans()):
        pairs = [(i, j) for i in range(n) for j in range(i)]
        graph = nx.empty_graph(n)
        graph.add_edges_from(draw(st.lists(st.sampled_from(pairs), unique=True, max_size=4)))
        return metropolis.weights(graph).toarray()
    order = draw(st.permutations(range(n)))
    kept = draw(st.sampled_from([0.2, 0.5, 0.75]))
    return kept * np.eye(n) + (1 - kept) * np.eye(n)[list(order)]


@settings(max_examples=60)
@given(weights(), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.booleans(), st.integers(0, 2**32))
def test_expected_matrix_and_second_moment_are_means_over_all_patterns(W, p, both_ways, seed):
    n = len(W)
    mean = sum(chance * made for made, chance in patterns(W, p, both_ways))
    assert np.allclose(expected(sparse(W), p).toarray(), mean, rtol=0, atol=1e-14)
    Q = np.random.default_rng(seed).standard_normal((n, n))
    by_pattern = sum(chance * made.T @ Q @ made for made, chance in patterns(W, p, both_ways))
    assert np.allclose(second_moment(Q, sparse(W), p, both_ways), by_pattern, rtol=0, atol=1e-13)


@settings(max_examples=60)
@given(st.lists(weights(), min_size=1, max_size=3), st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.booleans())
def test_rate_rounds_and_drift_are_those_of_all_patterns(matrices, p, both_ways):
    n, T = len(matrices[0]), len(matrices)
    found, whole = lossy([sparse(W) for W in matrices], p, both_ways), period_squared(matrices, p, both_ways)
    centre = np.eye(n) - 1 / n
    radius = np.abs(np.linalg.eigvals(np.kron(centre, centre) @ whole @ np.kron(centre, centre))).max()
    assert found.rate == pytest.approx((radius, radius), abs=1e-8)
    mean = np.linalg.multi_dot([np.eye(n), *(p * np.eye(n) + (1 - p) * W for W in reversed(matrices)), np.eye(n)])
    assert found.gap == pytest.approx(1 - np.abs(np.linalg.eigvals(mean - 1 / n)).max(), abs=1e-7)
    if radius > 1 - 1e-9:
        assert found.rounds[1] is None
        return
    first, last = found.rounds
    assert first == last
    assert worst_mean_square(matrices, p, both_ways, first) <= 1e-12 * (1 + 1e-6)
    assert worst_mean_square(matrices, p, both_ways, first - 1) > 1e-12 * (1 - 1e-6)
    forever = np.linalg.matrix_power(whole, 2 * first // T + 1)
    moved = (np.full((1, n * n), 1 / n**2) @ forever).reshape(n, n) - 1 / n**2        # of the squared average
    moved = centre @ moved @ centre
    assert found.drift == pytest.approx((np.trace(moved) / (n - 1), np.linalg.eigvalsh(moved)[-1]), abs=1e-9)
    assert (found.drift[1] < 1e-12) == (p == 0 or all((both_ways or not np.any(W - np.diag(np.diag(W))))
                                                      and np.array_equal(W, W.T) for W in matrices))


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_the_drift_on_a_ring_is_fouriers(p):
    """Second moments K are circulant there, and K = E K E + p (1 - p) 2 w^2 K_00 L with E = E[W], mode by mode."""
    n, w = 12, 1 / 3
    found = lossy([load("ring", n).matrix(0)], p, both_ways=False)
    laplacian = 2 - 2 * np.cos(2 * np.pi * np.arange(n) / n)
    mean = 1 - (1 - p) * w * laplacian
    shape = np.zeros(n)
    shape[1:] = p * (1 - p) * 2 * w**2 * laplacian[1:] / (1 - mean[1:] ** 2)
    corner = (1 / n**2) / (1 - shape.mean())                       # K_00 = 1 / n^2 + the mean of the other modes
    modes = corner * shape
    assert found.drift == pytest.approx((modes[1:].mean(), modes.max()), rel=1e-9)


@pytest.mark.parametrize("both_ways", [True, False])
def test_a_simulation_agrees(both_ways):
    n, p, runs, rounds = 8, 0.3, 20_000, 12
    W = load("ring", n).matrix(0).toarray()
    chance, x0 = np.random.default_rng(5), np.arange(n) - (n - 1) / 2
    x = np.tile(x0, (runs, 1))
    for _ in range(rounds):
        arrives = chance.random((runs, n, n)) >= p
        if both_ways:
            arrives = np.triu(arrives) | np.triu(arrives).transpose(0, 2, 1)
        x = x + (W * arrives * (x[:, None, :] - x[:, :, None])).sum(axis=2)
    Q, average = np.eye(n) - 1 / n, np.full((n, n), 1 / n**2)
    for _ in range(rounds):
        Q, average = (second_moment(matrix, load("ring", n).matrix(0), p, both_ways) for matrix in (Q, average))
    square = ((x - x.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    assert square.mean() == pytest.approx(x0 @ Q @ x0, abs=4 * square.std() / math.sqrt(runs))
    if both_ways:
        assert np.abs(x.mean(axis=1)).max() < 1e-12
    else:
        moved = x.mean(axis=1) ** 2
        assert moved.mean() == pytest.approx(x0 @ average @ x0, abs=4 * moved.std() / math.sqrt(runs))
        assert moved.mean() > 0.003


@pytest.mark.parametrize("spec", ["ring", "star", "one-peer-exponential", {"name": "periodic-complete", "period": 3}])
def test_without_loss_the_rounds_are_the_certificates(spec):
    topology = load(spec, 6)
    found = lossy([topology.matrix(t) for t in range(topology.period)], 0.0)
    certified = certify(topology)
    assert found.rounds == (certified.mixing.rounds, certified.mixing.rounds)
    assert found.gap == pytest.approx(certified.spectral_gap, abs=1e-9)
    assert found.rate[0] == pytest.approx((1 - certified.spectral_gap) ** 2, abs=1e-9) and found.drift == (0, 0)


def test_the_rate_of_forty_agents_is_between_the_means_and_one_rounds():
    for name, n in (("ring", 20), ("exponential", 40), ("geometric", 40)):
        W = load(name, n).matrix(0)
        for both_ways in (True, False):
            found = lossy([W], 0.2, both_ways)
            assert found.rounds[0] == found.rounds[1] and found.rate[0] == found.rate[1]
            assert (1 - found.gap) ** 2 <= found.rate[0] <= np.linalg.eigvalsh(
                second_moment(np.eye(n) - 1 / n, W, 0.2, both_ways))[-1]
            assert (found.drift[0] > 0) == (not both_ways) and found.drift[0] <= found.drift[1]
            t, Q = found.rounds[0], np.eye(n) - 1 / n
            for _ in range(t - 1):
                Q = second_moment(Q, W, 0.2, both_ways)
            after = second_moment(Q, W, 0.2, both_ways)
            assert np.linalg.norm(after, 2) <= 1e-12 * (1 + 1e-6) and np.linalg.norm(Q, 2) > 1e-12 * (1 - 1e-6)


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("limit", ["MOST_APPLIED", "LARGEST_DENSE"])
def test_bounds_hold_what_is_computed_otherwise(both_ways, limit, monkeypatch):
    for name, n in (("ring", 14), ("star", 9), ("geometric", 30)):
        W = load(name, n).matrix(0)
        exact = lossy([W], 0.3, both_ways)
        monkeypatch.setattr(module, limit, 20 if limit == "MOST_APPLIED" else 5)
        bounded = lossy([W], 0.3, both_ways)
        monkeypatch.undo()
        assert bounded.rounds[0] <= exact.rounds[0] == exact.rounds[1] <= bounded.rounds[1] < 1.5 * exact.rounds[1]
        assert bounded.rate[0] - 1e-9 <= exact.rate[0] <= bounded.rate[1] + 1e-9
        assert bounded.gap == pytest.approx(exact.gap, abs=1e-9)


def test_a_sequence_that_is_no_period_is_looked_at_as_far_as_it_goes():
    topology = load("gossip", 4)
    matrices = [topology.matrix(t) for t in range(60)]
    found = lossy(matrices, 0.2, periodic=False)
    assert found.rate is None and found.gap is None and found.drift == (0, 0)
    first, last = found.rounds
    dense = [W.toarray() for W in matrices]
    if last is None:
        assert first == 61 and worst_mean_square(dense, 0.2, True, 60) > 1e-12
    else:
        assert first == last and worst_mean_square(dense, 0.2, True, first) <= 1e-12 < worst_mean_square(
            dense, 0.2, True, first - 1)
    early = lossy([load("complete", 4).matrix(0)] * 30, 0.1, periodic=False)
    assert early.rounds == lossy([load("complete", 4).matrix(0)], 0.1).rounds
    assert lossy(matrices[:5], 0.2, periodic=False).rounds == (6, None)


def test_one_agent_no_graph_and_no_message():
    assert lossy([load("ring", 1).matrix(0)], 0.5).rounds == (0, 0)
    for spec, p in (("disconnected", 0.1), ("ring", 1.0)):
        for n in (2, 5, 400):
            found = lossy([load(spec, n).matrix(0)], p)
            assert found.rate == (1, 1) and found.rounds[1] is None and found.gap == 0
    two = lossy([load("ring", 2).matrix(0)], 0.25, both_ways=False)
    assert two.rate[0] == pytest.approx(2 * 0.25 * 0.75 * 0.25 + 0.25**2)       # one of both moves half way; none
