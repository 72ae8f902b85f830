"""The approximation experiment: features, critics and mean direction by brute force, mutations of its claims."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from netac.exact import objective, softmax_gradient, stationary_distribution, transition, value_function
from netac.theory import Lab, _coarse, approximation
from netac.theory._coarse import (
    CriticFeatures,
    aggregated,
    climbed,
    errors,
    mean_direction,
    projection_error,
    reward_features,
    steered,
    worst_cycle,
)
from netac.theory._games import soft_policies
from netac.theory._gradient_noise import crowd

QUICK = Lab(quick=True)
scored = _coarse._scored


@pytest.fixture(scope="module")
def game():
    rng = np.random.default_rng(3)
    mdp = steered(rng, 2, 4)
    return mdp, soft_policies(rng, mdp, 0.1)


def test_features_are_one_hot():
    assert aggregated(5, 2).argmax(axis=1).tolist() == [0, 0, 0, 1, 1] and (aggregated(4, 4) == np.eye(4)).all()
    own = reward_features("own actions", 2, 3, 2)
    for s, (j, actions) in product(range(2), enumerate(product(range(2), repeat=3))):
        seen = np.flatnonzero(own[s, j]).tolist()
        assert seen == [s * 6 + 2 * i + a for i, a in enumerate(actions)]
    assert (reward_features("state", 2, 3, 2)[1] == [0, 1]).all()
    assert (reward_features("no state", 2, 3, 2)[1] == np.eye(8)).all()
    assert np.linalg.matrix_rank(reward_features("exact", 2, 3, 2).reshape(16, -1)) == 16


@pytest.mark.parametrize(("groups", "kind"), [(4, "exact"), (2, "own actions"), (1, "state"), (4, "no state")])
def test_the_mean_direction_is_that_of_all_samples(game, groups, kind):
    """Fixed points by long iteration of lines 7 and 8 in expectation, the direction summed sample by sample."""
    mdp, pi = game
    f = CriticFeatures("", "", aggregated(4, groups), reward_features(kind, 4, 2, 2))
    chain = transition(mdp, pi)
    mu = stationary_distribution(chain)
    joint = np.array([[pi[0, s, a] * pi[1, s, b] for a in range(2) for b in range(2)] for s in range(4)])
    d = (1 - mdp.gamma) * sum(mdp.gamma**t * mdp.xi @ np.linalg.matrix_power(chain, t) for t in range(300))
    omega, lam, reward = np.zeros(groups), np.zeros(f.psi.shape[2]), (joint * mdp.team_reward).sum(axis=1)
    for _ in range(20_000):
        omega += 0.9 * f.phi.T @ (mu * (reward + mdp.gamma * chain @ f.phi @ omega - f.phi @ omega))
        lam += 0.4 * np.einsum("s,sj,sj,sjl->l", mu, joint, mdp.team_reward - f.psi @ lam, f.psi)
    wanted = np.zeros((2, 4, 2))
    for s, (j, actions), t in product(range(4), enumerate(product(range(2), repeat=2)), range(4)):
        delta = f.psi[s, j] @ lam + mdp.gamma * f.phi[t] @ omega - f.phi[s] @ omega
        for i, a in enumerate(actions):
            wanted[i, s] += d[s] * joint[s, j] * mdp.P[s, j, t] * delta * (np.eye(2)[a] - pi[i, s])
    np.testing.assert_allclose(mean_direction(mdp, pi, f), wanted, atol=1e-8)
    found = errors(mdp, pi, f)
    assert found.value == pytest.approx(mu @ np.square(f.phi @ omega - value_function(mdp, pi)), abs=1e-8)
    missed = np.square(f.psi @ lam - mdp.team_reward)
    assert found.reward == pytest.approx((mu[:, None] * joint * missed).sum(), abs=1e-8)


def test_exact_features_have_the_gradient(game):
    mdp, pi = game
    exact = CriticFeatures("", "", np.eye(4), reward_features("exact", 4, 2, 2))
    np.testing.assert_allclose(mean_direction(mdp, pi, exact), softmax_gradient(mdp, pi), atol=1e-12)
    assert objective(mdp, climbed((mdp, exact, 30))) > objective(mdp, climbed((mdp, exact, 3)))


def test_no_weights_come_closer_than_the_projection(game):
    mdp, pi = game
    mu, phi, rng = stationary_distribution(transition(mdp, pi)), aggregated(4, 2), np.random.default_rng(0)
    least = projection_error(mdp, pi, phi)
    V = value_function(mdp, pi)
    x = np.array([mu[half] @ V[half] / mu[half].sum() for half in (slice(2), slice(2, 4))])
    assert mu @ np.square(phi @ x - V) == pytest.approx(least)
    for nudge in rng.normal(0, 0.1, (20, 2)):
        assert mu @ np.square(phi @ (x + nudge) - V) > least


@pytest.mark.parametrize("gamma", [0.3, 0.9, 0.99])
def test_the_worst_cycle_is_as_its_docstring_says(gamma):
    mdp, pi, phi = worst_cycle(gamma)
    P, V = mdp.P[:, 0], value_function(mdp, pi)
    assert np.square(phi).mean() == pytest.approx(1.0) and (phi[:, 0] @ P @ phi[:, 0]) / 3 == pytest.approx(gamma)
    assert V @ phi[:, 0] == pytest.approx(0.0, abs=1e-12)
    assert approximation.inflation(mdp, pi, phi) == pytest.approx(1 / np.sqrt(1 - gamma**2))


# --- mutations ---

@pytest.fixture
def small(monkeypatch):
    """Fewer games and shorter runs: what is wrong is seen all the same."""
    fewer = {40: 8, 5: 2, 60: 40, 6_000: 4_000}
    monkeypatch.setattr(Lab, "choose", lambda self, quick, full: fewer.get(quick, quick)
                        if isinstance(quick, int) else quick)


def of_features():
    return approximation.feature_claims(*approximation.feature_rows(QUICK, [
        steered(QUICK.rng(1, k), approximation.AGENTS, approximation.STATES) for k in range(2)]))


PARTS: dict[str, Callable] = {
    "points": lambda: approximation.fixed_point_claims(approximation.fixed_point_rows(QUICK)),
    "gradient": lambda: approximation.gradient_claims(QUICK),
    "features": of_features,
    "runs": lambda: approximation.run_claims(approximation.run_rows(QUICK, steered(QUICK.rng(1, 0), 3, 8), (0, 2)))}


def instead(of: str, other: str):
    return lambda kind, *sizes: reward_features(other if kind == of else kind, *sizes)


MUTATIONS = [
    ("points", approximation, "td_fixed_point", lambda *of: 3.0 * _coarse.td_fixed_point(*of), "at most 1 / sqrt"),
    ("points", approximation, "worst_cycle", lambda gamma: (*worst_cycle(gamma)[:2], worst_cycle(gamma)[2] + 0.3),
     "reached, by a cycle"),
    ("gradient", _coarse, "value_function", lambda *of: 0.9 * value_function(*of), "mean direction is grad J and"),
    ("gradient", _coarse, "_scored", lambda *of: 3.0 * scored(*of), "squared bias is O(eps_app)"),
    ("gradient", approximation, "crowd", lambda n, coupling, rng, states: crowd(n, 1.0, rng, states=states),
     "by six agents that toss coins"),
    ("features", approximation, "reward_features", instead("own actions", "no state"), "leaves the gradient as it is"),
    ("features", approximation, "reward_features", instead("own actions", "no state"), "leads to the same return"),
    ("features", approximation, "reward_features", instead("own actions", "exact"), "does not explain the reward"),
    ("features", approximation, "aggregated", lambda states, groups: np.eye(states), "coarse values bias"),
    ("features", approximation, "aggregated", lambda states, groups: np.eye(states), "... and cost return"),
    ("features", approximation, "reward_features", instead("state", "own actions"), "does not see the actions costs"),
    ("features", _coarse, "STEP", 1.0, "does not tell what was lost"),
    ("runs", approximation, "ACTOR", 0.01, "gets where its mean direction leads"),
]


@pytest.mark.parametrize("part", list(PARTS))
def test_all_claims_pass_and_have_a_mutation(small, part):
    claims = PARTS[part]()
    assert not [claim.says for claim in claims if not claim.passes]
    told = [claim for of, *_, claim in MUTATIONS if of == part]
    assert all(any(claim in each.says for claim in told) for each in claims)


@pytest.mark.parametrize(("part", "module", "name", "wrong", "claim"), MUTATIONS,
                         ids=[claim for *_, claim in MUTATIONS])
def test_a_mistake_makes_a_claim_fail(small, monkeypatch, part, module, name, wrong, claim):
    monkeypatch.setattr(module, name, wrong)
    assert any(claim in each.says for each in PARTS[part]() if not each.passes)
