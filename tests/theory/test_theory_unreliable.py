"""unreliable-consensus: second moments against all that may happen, and that its claims can fail."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.theory import _moments, _unreliable_runs, unreliable_consensus
from netac.theory._condition_networks import copies, network_of
from netac.theory._moments import Losses, OneActs
from netac.theory._unreliable_runs import Size
from netac.theory.unreliable_consensus import Done
from netac.topology import load
from netac.topology import lossy as lossy_topology

GRAPHS = [("path", 2), ("path", 3), ("star", 4), ("ring", 4)]


def weights(name: str, n: int) -> np.ndarray:
    return load(name, n).matrix(0).toarray()


def lossy(W: np.ndarray, p: float, both_ways: bool):
    """All (probability, A), from the loss of every edge or message."""
    n = len(W)
    links = [(i, j) for i in range(n) for j in range(n) if i != j and W[i, j] and (i < j or not both_ways)]
    for lost in product((False, True), repeat=len(links)):
        A, probability = W.copy(), 1.0
        for (i, j), gone in zip(links, lost, strict=True):
            probability *= p if gone else 1.0 - p
            for hearer, speaker in ((i, j), (j, i))[:1 + both_ways]:
                if gone:
                    A[hearer, hearer] += A[hearer, speaker]
                    A[hearer, speaker] = 0.0
        yield probability, A


def second_moments(n: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, n + 1))
    return x @ x.T


@pytest.mark.parametrize(("name", "n"), GRAPHS)
@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_losses_are_those_of_all_patterns(name, n, both_ways, p):
    W, Y, J = weights(name, n), second_moments(n), np.full((n, n), 1.0 / n)
    after, drift, shrinks = np.zeros((n, n)), 0.0, np.zeros((n, n))
    for probability, A in lossy(W, p, both_ways):
        after += probability * A @ Y @ A.T
        move = np.ones(n) / n @ (A - np.eye(n))
        drift += probability * move @ Y @ move
        shrinks += probability * A.T @ (np.eye(n) - J) @ A
    found = Losses(W, p, both_ways)
    assert found.moments(Y) == pytest.approx(after, abs=1e-12)
    assert np.trace(found.drift @ Y) == pytest.approx(drift, abs=1e-12)
    factor, direction = found.worst
    assert factor == pytest.approx(np.linalg.eigvalsh(shrinks - shrinks.mean())[-1], abs=1e-12)
    assert direction @ shrinks @ direction == pytest.approx(factor, abs=1e-12)
    assert both_ways <= (drift < 1e-24)


@given(seed=st.integers(0, 10**6), n=st.integers(2, 7), p=st.floats(0.01, 0.9))
@settings(max_examples=25)
def test_the_drift_is_within_its_bound_which_is_reached_by_two(seed, n, p):
    found = Losses(weights({"name": "erdos-renyi", "seed": seed} if n > 2 else "path", n), p, False)
    x = np.random.default_rng(seed).normal(size=n)
    x -= x.mean()
    matrix = _moments.as_matrix(found.moments, n)
    whole = np.linalg.solve(np.eye(len(matrix)) - matrix, _moments.upper(np.outer(x, x)))
    drift, bound = _moments.form(found.drift) @ whole, found.drift_bound(float(x @ x))
    assert drift <= bound * (1.0 + 1e-9)
    if n == 2:
        assert drift == pytest.approx(bound, rel=1e-9)


@pytest.mark.parametrize(("name", "n"), GRAPHS)
def test_one_agent_at_a_time_is_the_mean_over_who_acts(name, n):
    W, Y, p = weights(name, n), second_moments(n), np.arange(1.0, n + 1) / (n * (n + 1) / 2)
    found, pi = OneActs(W, p), (1.0 / p) / (1.0 / p).sum()
    after, drift, mean = np.zeros((n, n)), 0.0, np.zeros((n, n))
    for i in range(n):
        E = np.eye(n)
        E[i] = W[i]
        after += p[i] * E @ Y @ E.T
        mean += p[i] * E
        drift += p[i] * (pi @ (E - np.eye(n))) @ Y @ (pi @ (E - np.eye(n)))
    assert found.moments(Y) == pytest.approx(after, abs=1e-12)
    assert found.limit == pytest.approx(pi) and found.limit @ mean == pytest.approx(found.limit, abs=1e-12)
    assert np.trace(found.drift @ Y) == pytest.approx(drift, abs=1e-12)


def test_late_or_not_is_the_mean_over_all_messages():
    W, n = weights("path", 3), 3
    Z, after = second_moments(2 * n), np.zeros((2 * n, 2 * n))
    links = [(i, j) for i in range(n) for j in range(n) if i != j and W[i, j]]
    for late in product((False, True), repeat=len(links)):
        A = np.zeros((2 * n, 2 * n))
        A[:n, :n], A[n:, :n] = np.diag(np.diag(W)), np.eye(n)
        for (i, j), is_late in zip(links, late, strict=True):
            A[i, n * is_late + j] += W[i, j]
        after += A @ Z @ A.T / 2**len(links)
    assert _moments.late_or_not(W)(Z) == pytest.approx(after, abs=1e-12)


@pytest.mark.parametrize("most", [0, 1, 2, 4])
def test_ages_are_those_of_all_delays(most):
    """Of the messages of now, of the round before, ...: the first that has come."""
    counts = np.zeros(most + 1)
    for delays in product(range(most + 1), repeat=most + 1):
        counts[next(age for age, d in enumerate(delays) if d <= age)] += 1
    assert _moments.ages_of(most) == pytest.approx(counts / counts.sum(), abs=1e-12)


@pytest.mark.parametrize(("name", "n"), [*GRAPHS, ("grid", 6)])
@pytest.mark.parametrize("d", [0, 1, 3])
def test_delays_settle_on_the_limit_as_fast_as_told(name, n, d):
    W = weights(name, n)
    A = _moments.delayed(W, np.eye(d + 1)[d])
    start = np.tile(np.eye(n), (d + 1, 1))
    limit = np.tile(_moments.limit_of_delay(W, d), (n, 1))
    far, further = (max(np.linalg.norm((np.linalg.matrix_power(A, k + swing) @ start)[:n] - limit)
                        for swing in range(60)) for k in (200, 600))
    assert np.abs(np.linalg.matrix_power(A, 4000) @ start - np.tile(limit, (d + 1, 1))).max() < 1e-9
    if further > 1e-10:
        assert (further / far) ** (1 / 400) == pytest.approx(_moments.settling(A, n), rel=1e-3)


def test_what_never_arises_does_not_count():
    """All agents of a ring swing together by -(1 - W_ii), if they ever do."""
    W = 0.1 * np.eye(3) + 0.3 * (np.ones((3, 3)))
    A = _moments.delayed(W, np.eye(2)[1])
    assert np.sort(np.abs(np.linalg.eigvals(A)))[-2] == pytest.approx(0.6)
    assert _moments.settling(A, 3) == pytest.approx(np.sqrt(0.3))


def test_forms_and_matrices_of_symmetric_matrices():
    Y, Q, W = second_moments(4), second_moments(4, 1), weights("ring", 4)
    assert _moments.form(Q) @ _moments.upper(Y) == pytest.approx(np.trace(Q @ Y))
    moments = Losses(W, 0.3, False).moments
    matrix, C = _moments.as_matrix(moments, 4), np.eye(4) - 0.25
    assert matrix @ _moments.upper(Y) == pytest.approx(_moments.upper(C @ moments(Y) @ C))
    twice = np.trace(C @ moments(moments(Y)) @ C)
    assert _moments.course(moments, Y, 2)[2] == pytest.approx(twice) == pytest.approx(
        np.trace(C @ moments(C @ moments(Y) @ C) @ C))
    assert len(_moments.course(moments, Y, 100, 0.5)) < 10


def test_copies_are_a_graph_many_times_over_each_with_its_own_losses():
    topology = copies(load("grid", 6), 50)
    W = topology.matrix(0).toarray()
    assert W[6:12, 6:12] == pytest.approx(weights("grid", 6)) and np.trace(W) == pytest.approx(
        50 * np.trace(weights("grid", 6)))
    assert W[6:12].sum() == pytest.approx(6.0)
    assert sorted(topology.graph(0).edges)[-1] == (299, 298)
    network, ledger = network_of({"loss": 0.5}, topology, seed=1)
    mixed = network.mix(0, np.tile(np.arange(6.0)[:, None], (50, 1))).reshape(50, 6)
    assert len(np.unique(mixed.round(9), axis=0)) > 40
    assert ledger.consensus_messages.reshape(50, 6) == pytest.approx(np.tile([2, 3, 2, 2, 3, 2], (50, 1)))


# --- claims can fail -----------------------------------------------------------------------------------

GRID, SIZE = ({"name": "grid"}, 6), Size(150, 6)
NONE = Done([], [], [], [], [], 0.4)


def of_losses():
    losses = [_unreliable_runs.lossy((*GRID, p, both), SIZE, 0) for p, both in (
        (0.0, True), (0.5, True), (0.5, False))]
    return unreliable_consensus._of_losses(replace(NONE, losses=losses, sums=[
        _unreliable_runs.summed((*GRID, 0.5), 4, 0)]))


def of_delays():
    ring = {"name": "ring"}
    delays = [_unreliable_runs.late((spec, n, 3), 4, 0) for spec, n in (
        GRID, (ring, 6), (ring | {"weights": "lazy-metropolis"}, 6))]
    drawn = [_unreliable_runs.late_at_random((*GRID, most), SIZE, 0) for most in (1, 3)]
    return unreliable_consensus._of_delays(replace(NONE, delays=delays, at_random=drawn))


def of_clocks():
    clocks = [_unreliable_runs.asynchronous((*GRID, slow), SIZE, 0) for slow in (False, True)]
    return unreliable_consensus._of_clocks(replace(NONE, clocks=clocks))


def failing(claims) -> list[str]:
    return [claim.says for claim in claims if not claim.passes]


@pytest.mark.parametrize("claims", [of_losses, of_delays, of_clocks])
def test_claims_hold_on_a_small_graph_too(claims):
    wrong = failing(claims())
    assert [says for says in wrong if "lazy" not in says] == []         # by half they are sooner for longer delays


@pytest.mark.parametrize(("claims", "where", "wrong", "said"), [
    (of_losses, (Losses, "moments"), lambda self, Y: self.mean @ Y @ self.mean, ["the mean square of random"]),
    (of_losses, (Losses, "drift"), property(lambda self: 0.02 * (np.eye(6) - 1.0 / 6)), ["that drift is tr"]),
    (of_losses, (Losses, "drift_bound"), lambda self, squares: 1e-3, ["and at most"]),
    (of_losses, (Losses, "mean"), property(lambda self: self.W), ["worst start", "the mean square of random"]),
    (of_losses, (_unreliable_runs, "certify"), lambda matrices, p, both: lossy_topology.lossy(matrices, p / 2, both),
     ["certificate"]),
    (of_losses, (_unreliable_runs, "_mass"), lambda network: np.zeros(5), ["add up to what was put in"]),
    (of_delays, (_moments, "limit_of_delay"), lambda W, d: np.full(6, 1.0 / 6), ["1 + d (1 - W_ii)", "do not move"]),
    (of_delays, (_moments, "settling"), lambda A, n: 0.95, ["second modulus", "mixture of all ages"]),
    (of_delays, (_moments, "late_or_not"), lambda W: lambda Z: 0.5 * Z, ["delays of 0 or 1"]),
    (of_clocks, (OneActs, "limit"), property(lambda self: np.full(6, 1.0 / 6)), ["weighted mean", "whoever is slow"]),
    (of_clocks, (OneActs, "drift"), property(lambda self: 1e-2 * np.eye(6)), ["weighted mean"]),
    (of_clocks, (OneActs, "moments"), lambda self, Y: 0.9 * Y, ["the mean square follows", "spectral radius"])])
def test_wrong_predictions_fail(monkeypatch, claims, where, wrong, said):
    monkeypatch.setattr(_unreliable_runs, "PATIENCE", 800)
    monkeypatch.setattr(*where, wrong)
    failed = failing(claims())
    assert [part for part in said if not any(part in says for says in failed)] == []


def test_a_network_that_loses_otherwise_fails(monkeypatch):
    """Single messages in place of edges."""
    one_way = {"loss": {"probability": 0.3, "both_ways": False}}
    monkeypatch.setattr(_unreliable_runs, "network_of", lambda asked, topology, seed: network_of(
        one_way if set(asked) == {"loss"} else asked, topology, seed))
    failed = failing(of_losses())
    assert any("of an edge keep the mean" in says for says in failed)
    assert any("the mean square of random" in says for says in failed)


def told_otherwise(monkeypatch, change) -> None:
    """Networks under what `change` makes of the table that was asked for."""
    monkeypatch.setattr(_unreliable_runs, "network_of", lambda asked, topology, seed: network_of(
        change(asked), topology, seed))


@pytest.mark.parametrize(("claims", "change", "said"), [
    (of_losses, lambda asked: asked | {"loss": {"probability": 0.5, "both_ways": True}} if "loss" in asked else asked,
     "losses of single messages keep the mean"),
    (of_losses, lambda asked: {"loss": asked["loss"]} if "push-sum" in asked else asked, "end on the true mean"),
    (of_delays, lambda asked: {"delay": asked["delay"] + 1} if isinstance(asked["delay"], int) else asked,
     "that of the plain recursion"),
    (of_delays, lambda asked: {"delay": asked["delay"]["most"]} if isinstance(asked["delay"], dict) else asked,
     "faster than m for all")])
def test_a_network_that_does_something_else_fails(monkeypatch, claims, change, said):
    monkeypatch.setattr(_unreliable_runs, "PATIENCE", 800)
    monkeypatch.setattr(_unreliable_runs, "_mass", lambda network: np.zeros(5))
    told_otherwise(monkeypatch, change)
    assert any(said in says for says in failing(claims()))


def test_losses_reckoned_half_as_likely_fail(monkeypatch):
    exactly = Losses

    def half(W, p, both_ways):
        return exactly(W, p / 2, both_ways)

    monkeypatch.setattr(_unreliable_runs.exact, "Losses", half)
    failed = failing(of_losses())
    assert all(any(said in says for says in failed) for said in ("at least 1 / (1 - p)", "so does its factor"))


def test_the_worst_start_of_no_losses_fails(monkeypatch):
    monkeypatch.setattr(Losses, "worst", property(lambda self: (
        np.sort(np.linalg.eigvalsh(self.W))[-2]**2, np.linalg.eigh(self.W)[1][:, -2])))
    failed = failing(of_losses())
    assert any("no factor exceeds" in says for says in failed) and any("worst start" in says for says in failed)


def test_a_slow_agent_that_is_not_slow_fails(monkeypatch):
    monkeypatch.setattr(_unreliable_runs, "SLOW", 1.0)
    assert any("slows all" in says for says in failing(of_clocks()))


@pytest.mark.long
def test_weights_that_are_not_lazy_fail():
    """On the ring of 6, delays of 10: the claim holds of lazy weights, and fails where they are the same ones."""
    ring, lazy = ({"name": "ring"} | more for more in ({}, {"weights": "lazy-metropolis"}))
    delays = {spec.get("weights", ""): _unreliable_runs.late((spec, 6, 10), 2, 0) for spec in (ring, lazy)}
    grid, drawn = _unreliable_runs.late((*GRID, 10), 2, 0), _unreliable_runs.late_at_random((*GRID, 1), Size(4, 2), 0)

    def fails(second) -> bool:
        claims = unreliable_consensus._of_delays(replace(
            NONE, delays=[grid, delays[""], replace(second, label="ring lazy-metropolis")], at_random=[drawn]))
        return any("lazy" in says for says in failing(claims))

    assert not fails(delays["lazy-metropolis"]) and fails(delays[""])
