"""Pessimistic off-policy PPO: its minimiser against scipy, its data against their distribution; mutations are seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.sequential_ppo import plain_averages, values
from scipy.optimize import minimize

from netac.exact import action_value, optimal_joint_actions
from netac.theory import pessimistic_ppo
from netac.theory._pessimism import Data, evaluate, in_ball, sample
from netac.theory._ppo_games import linear_game
from netac.theory._sequential import joint, one_agent, uniform

# --- evaluation ---

def plain_loss(data: Data, outer, inner, pi, gamma: float) -> float:
    """L_D(w', w, pi) in a loop; `outer` is w'."""
    total = 0.0
    for s, a, r, after in zip(data.s, data.a, data.r, data.after, strict=True):
        later = sum(pi[after, j] * data.phi[after, j] @ inner for j in range(pi.shape[1]))
        total += (data.phi[s, a] @ outer - r - gamma * later)**2
    return total / len(data.s)


def plain_pessimism(w, data: Data, pi, gamma: float, xi, c: float) -> float:
    """phi(s_0, pi)'w + c (L_D(w, w, pi) - min_w' L_D(w', w, pi)), the inner minimum by least squares."""
    X = data.phi[data.s, data.a]
    target = [r + gamma * pi[after] @ data.phi[after] @ w for r, after in zip(data.r, data.after, strict=True)]
    least = plain_loss(data, np.linalg.lstsq(X, np.array(target))[0], w, pi, gamma)
    start = sum(xi[s] * pi[s] @ data.phi[s] @ w for s in range(len(xi)))
    return start + c * (plain_loss(data, w, w, pi, gamma) - least)


@pytest.mark.parametrize(("n", "c", "radius"), [(25, 8.0, 20.0), (25, 8.0, 1.0), (25, 0.3, 5.0), (2, 8.0, 5.0)],
                         ids=["inside", "on the ball", "very pessimistic", "fewer samples than features"])
def test_the_pessimistic_minimiser_is_scipys(n, c, radius):
    rng = np.random.default_rng(9)
    mdp, phi = linear_game(rng, 2, 3, 2, 3, 0.7)
    pi = rng.dirichlet(np.ones(4), 3)
    data = sample(mdp, phi, np.ones((3, 4)), n, rng)
    w = evaluate(data, pi, mdp.gamma, mdp.xi, c, radius)
    assert np.linalg.norm(w) <= radius + 1e-9
    given = (data, pi, mdp.gamma, mdp.xi, c)
    other = minimize(plain_pessimism, np.zeros(3), given, method="SLSQP", options={"ftol": 1e-12, "maxiter": 300},
                     constraints={"type": "ineq", "fun": lambda w: radius**2 - w @ w})
    assert plain_pessimism(w, *given) == pytest.approx(other.fun, abs=1e-5)
    assert plain_pessimism(w, *given) <= other.fun + 1e-8
    if n > 2:
        np.testing.assert_allclose(w, other.x, atol=2e-3)


@given(st.integers(1, 6), st.integers(0, 6), st.floats(0.01, 100.0), st.booleans(), st.integers(0, 10**6))
@settings(max_examples=60)
def test_the_minimum_in_a_ball_meets_its_conditions(d, rank, radius, reachable, seed):
    """(H + mu) w = g, mu >= 0, and mu = 0 inside: what tells a minimum of a convex quadratic function in a ball."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((rank, d))
    H = root.T @ root
    g = H @ rng.standard_normal(d) if reachable else rng.standard_normal(d)
    w = in_ball(H, g, radius)
    length, rest = np.linalg.norm(w), g - H @ w
    scale = 1e-7 * max(1.0, np.linalg.norm(g), np.linalg.norm(H) * radius)
    assert length <= radius * (1.0 + 1e-9)
    mu = (rest @ w) / max(length**2, 1e-300)
    assert np.linalg.norm(rest - mu * w) <= scale and mu * length >= -scale
    assert mu * length <= scale or length == pytest.approx(radius)


def test_without_pessimism_many_samples_give_the_values():
    rng = np.random.default_rng(10)
    mdp, phi = linear_game(rng, 2, 4, 2, 4, 0.7)
    pi = rng.dirichlet(np.ones(4), 4)
    data = sample(mdp, phi, np.ones((4, 4)), 200_000, rng)
    w = evaluate(data, pi, mdp.gamma, mdp.xi, np.inf, 100.0)
    np.testing.assert_allclose(phi @ w, action_value(one_agent(mdp), pi[None]), atol=0.1)


def test_samples_are_of_the_pairs_the_transitions_and_the_rewards():
    rng = np.random.default_rng(11)
    mdp, phi = linear_game(rng, 1, 3, 2, 3)
    pairs, n = rng.dirichlet(np.ones(6)).reshape(3, 2), 200_000
    data = sample(mdp, phi, pairs, n, rng)
    counts = np.zeros((3, 2, 3, 2))
    np.add.at(counts, (data.s, data.a, data.after, data.r.astype(int)), 1.0 / n)
    r = mdp.team_reward[..., None, None]
    wanted = pairs[..., None, None] * mdp.P[..., None] * np.concatenate([1.0 - r, r], axis=-1)
    np.testing.assert_allclose(counts, wanted, atol=6e-3)


# --- data and learning ---

@pytest.mark.parametrize("agents", [1, 2])
def test_behaviours_cover_what_they_say(agents):
    mdp, _ = linear_game(np.random.default_rng(12), agents, 5, 4, 6)
    best = optimal_joint_actions(mdp)
    for name in pessimistic_ppo.BEHAVIOURS:
        pi = pessimistic_ppo.behave(mdp, name, np.random.default_rng(13))
        np.testing.assert_allclose(pi.sum(axis=1), 1.0)
        if name in pessimistic_ppo.COVER:
            assert pi[np.arange(5), best].min() >= 0.5 - 1e-12
    assert (pi == 1.0 / 4**agents).all()                            # the last is "uniform"


@pytest.mark.parametrize("agents", [1, 2])
def test_learning_from_data_by_hand(agents):
    """Two iterates: the uniform policies, and one step with the estimate of their values."""
    rng = np.random.default_rng(14)
    size = (agents, 4, 3)
    mdp, phi = linear_game(rng, *size, 5)
    data = sample(mdp, phi, np.ones((4, 3**agents)), 60, rng)
    logits, J = uniform(mdp), []
    for _ in range(2):
        policies = [np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True) for x in logits]
        V = values(mdp, policies)[0]
        J.append(0.1 * mdp.xi @ V)
        pi = joint(policies)
        Q = phi @ evaluate(data, pi, 0.9, mdp.xi, 20.0, np.sqrt(5) / 0.1)
        estimate = 0.1 * mdp.xi @ (pi * Q).sum(axis=1)
        longer = 10.0 * 0.1 * np.sqrt(8.0 * np.log(3.0) / 2)
        logits = [x + longer * q for x, q in zip(logits, plain_averages(Q, policies, size), strict=True)]
    got = pessimistic_ppo.learn(mdp, data, 20.0, 2)
    assert got == pytest.approx((np.mean(J), estimate - J[-1]))


def slips(scan: Sequence[float]) -> np.ndarray:
    """(sets, 1 + c) estimate less truth."""
    return np.array([pessimistic_ppo.learned(((1, 6, 8, 12), "half", 300, scan, 20, 0, k)) for k in range(6)])[..., 1]


def test_the_other_sign_is_optimistic(monkeypatch):
    honest = slips((3.0, np.inf))
    assert honest[:, 1].max() < 0.0 < honest[:, 2].mean() and (honest[:, 0] == 0.0).all()
    monkeypatch.setattr(pessimistic_ppo, "evaluate",
                        lambda data, pi, gamma, xi, c, radius: evaluate(data, pi, gamma, -xi, c, radius))
    assert slips((3.0,))[:, 1].mean() > honest[:, 2].mean()


# --- claims ---

def claims_of(gain: float, naive: float, chosen: float, elsewhere: float) -> set[str]:
    """Those that fail with such gains, `elsewhere` off the optimum's data, and such slips of LSTD and the chosen c."""
    sets, scan = 5, (3.0, np.inf)
    gains, rows = [], []
    for behaviour in pessimistic_ppo.BEHAVIOURS:
        results = np.zeros((sets, 3, 2)) + 1e-3 * np.arange(sets)[:, None, None]
        results[:, 1, 0] += gain if behaviour in pessimistic_ppo.COVER else elsewhere
        results[:, 1:, 1] += [chosen, naive]
        gains.append(pessimistic_ppo._gain((1, 6, 8, 12), behaviour, 300, scan, results))
        rows += pessimistic_ppo._rows((1, 6, 8, 12), behaviour, 300, scan, results)
    return {claim.says for claim in pessimistic_ppo._claims(gains, rows) if not claim.passes}


def test_claims_of_pessimism_follow_their_numbers():
    assert claims_of(0.1, 0.1, -0.1, -0.1) == set()
    assert "from data of (nearly) the optimum, pessimism ends better than LSTD" in claims_of(-0.1, 0.1, -0.1, -0.1)
    assert claims_of(0.1, -0.1, -0.1, -0.1) == {"from such data LSTD overestimates what it ends with"}
    assert claims_of(0.1, 0.1, 0.1, -0.1) == {"pessimism does not, whatever the data"}
    wrong = claims_of(0.1, 0.1, -0.1, 0.1)
    assert len(wrong) == 1 and "elsewhere it can cost" in wrong.pop()


def learned() -> set[str]:
    """Claims that fail, of six data sets of every kind of a small game."""
    size, scan = (1, 5, 6, 8), (pessimistic_ppo.CHOSEN, pessimistic_ppo.NAIVE)
    gains, rows = [], []
    for behaviour in pessimistic_ppo.BEHAVIOURS:
        results = np.array([pessimistic_ppo.learned((size, behaviour, 300, scan, 20, 0, k)) for k in range(6)])
        gains.append(pessimistic_ppo._gain(size, behaviour, 300, scan, results))
        rows += pessimistic_ppo._rows(size, behaviour, 300, scan, results)
    return {claim.says for claim in pessimistic_ppo._claims(gains, rows) if not claim.passes}


def test_claims_hold_of_a_small_game():
    assert learned() == set()


MUTATIONS = {
    "c is not used": (lambda data, pi, gamma, xi, c, radius: evaluate(data, pi, gamma, xi, np.inf, radius),
                      ("ends better", "elsewhere")),
    "c is always used": (lambda data, pi, gamma, xi, c, radius: evaluate(
        data, pi, gamma, xi, 3.0 * np.sqrt(len(data.s)), radius), ("LSTD overestimates",)),
    "optimism": (lambda data, pi, gamma, xi, c, radius: evaluate(data, pi, gamma, -xi, c, radius), ("does not",)),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_makes_a_claim_fail(monkeypatch, name):
    wrong, claims = MUTATIONS[name]
    monkeypatch.setattr(pessimistic_ppo, "evaluate", wrong)
    failed = learned()
    assert [claim for claim in claims if not any(claim in says for says in failed)] == []
