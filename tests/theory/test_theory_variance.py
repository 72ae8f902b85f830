"""The gradient-variance experiment: exact moments against plain loops, games by hand, and mutations of its claims."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from netac.algorithms.centralized import _counterfactual
from netac.exact import FiniteMDP, action_value, softmax_gradient, value_function
from netac.theory import Lab, _gradient_noise, gradient_variance
from netac.theory._games import random_game, soft_policies
from netac.theory._gradient_noise import Estimate, crowd, estimates, moments, sampled_variance, visits

QUICK = Lab(quick=True)
BASELINE = _counterfactual.baseline


@pytest.fixture(scope="module")
def game() -> tuple[FiniteMDP, np.ndarray]:
    rng = np.random.default_rng(4)
    mdp = random_game(rng, 2, 2, 3, 0.7)
    return FiniteMDP(mdp.P, rng.normal(size=mdp.r.shape), mdp.xi, mdp.gamma), soft_policies(rng, mdp, 0.05)


def plain(mdp, pi, estimate) -> tuple[np.ndarray, float, float]:
    """Mean, variance and variance of the agents' mean, sample by sample."""
    d, outcomes = visits(mdp, pi), []
    for s, (j, actions) in product(range(mdp.states), enumerate(product(range(mdp.actions), repeat=mdp.agents))):
        for t in range(len(estimate.X)):
            g = np.zeros((mdp.agents, mdp.states, mdp.actions))
            for i, a in enumerate(actions):
                g[i, s] = estimate.X[t, s, j, i] * (np.eye(mdp.actions)[a] - pi[i, s])
            chance = d[s] * np.prod([pi[i, s, a] for i, a in enumerate(actions)]) * estimate.chance[t, s, j]
            outcomes.append((chance, g))
    mean = sum(chance * g for chance, g in outcomes)
    return (mean, sum(chance * np.square(g - mean).sum() for chance, g in outcomes),
            sum(chance * np.square((g - mean).mean(axis=0)).sum() for chance, g in outcomes))


@pytest.mark.parametrize("name", ["none", "value", "counterfactual", "optimal", "own Q", "averaged TD", "own TD"])
def test_moments_are_those_of_all_samples(game, name):
    estimate = estimates(*game)[name]
    found, (mean, variance, shared) = moments(*game, estimate), plain(*game, estimate)
    np.testing.assert_allclose(found.mean, mean, atol=1e-14)
    assert [found.variance, sum(found.parts.values()), found.shared] == pytest.approx([variance, variance, shared])


def test_estimates_by_hand(game):
    """X of agent 1 of two with three actions each, in state 1, for the joint action (2, 1) and the next state 0."""
    mdp, pi = game
    made, Q, V = estimates(mdp, pi), action_value(mdp, pi), value_function(mdp, pi)
    at, s, (a, b) = 2 * 3 + 1, 1, (2, 1)
    own = np.array([Q[s, a * 3 + other] for other in range(3)])
    norms = np.array([np.square(np.eye(3)[k] - pi[1, s]).sum() for k in range(3)])
    others = np.array([Q[s, other * 3 + b] for other in range(3)])
    V1 = np.zeros(2)
    for _ in range(300):
        V1 = np.array([sum(pi[0, k, x] * pi[1, k, y] * (mdp.r[k, 3 * x + y, 1] + 0.7 * mdp.P[k, 3 * x + y] @ V1)
                           for x in range(3) for y in range(3)) for k in range(2)])
    wanted = {"none": Q[s, at], "value": Q[s, at] - V[s], "counterfactual": Q[s, at] - pi[1, s] @ own,
              "optimal": Q[s, at] - (pi[1, s] * norms) @ own / (pi[1, s] @ norms), "own Q": pi[0, s] @ others - V[s],
              "averaged TD": mdp.r[s, at].mean() + 0.7 * V[0] - V[s],
              "own TD": (mdp.r[s, at, 1] + 0.7 * V1[0] - V1[s]) / 2}
    assert {name: each.X[0, s, at, 1] for name, each in made.items()} == pytest.approx(wanted)


@pytest.mark.parametrize("agents", [1, 3])
def test_the_crowd_is_what_its_docstring_says(agents):
    mdp = crowd(agents, 0.0, np.random.default_rng(0))
    assert np.ptp(mdp.P, axis=1).max() < 1e-15
    joint = list(product((-1, 1), repeat=agents))
    for i in range(agents):                                     # only the own action counts
        for value in (-1, 1):
            assert np.ptp(mdp.r[:, [k for k, a in enumerate(joint) if a[i] == value], i], axis=1).max() < 1e-12
    coupled = crowd(agents, 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(coupled.r[:, joint.index((1,) * agents)] - mdp.r[:, joint.index((1,) * agents)],
                               coupled.r[:, joint.index((-1,) * agents)] - mdp.r[:, joint.index((-1,) * agents)])
    np.testing.assert_allclose(mdp.P[:, 0], 0.5 * (coupled.P[:, 0] + coupled.P[:, -1]))


def test_one_agent_has_no_others():
    rng = np.random.default_rng(1)
    mdp = random_game(rng, 1, 3, 2, 0.5)
    pi = soft_policies(rng, mdp, 0.1)
    for estimate in estimates(mdp, pi).values():
        assert moments(mdp, pi, estimate).parts["others"] == pytest.approx(0.0, abs=1e-14)
    np.testing.assert_allclose(moments(mdp, pi, estimates(mdp, pi)["own TD"]).mean, softmax_gradient(mdp, pi))


# --- mutations ---

def all_claims():
    found = gradient_variance.experiment(QUICK)
    return {claim.says for claim in found.claims if not claim.passes}


@pytest.fixture
def small(monkeypatch):
    """Fewer games: what is wrong is seen all the same."""
    monkeypatch.setattr(Lab, "choose", lambda self, quick, full: {6: 2, 3: 1, 60_000: 20_000}.get(quick, quick)
                        if isinstance(quick, int) else quick)


def test_all_claims_pass_with_few_games(small):
    assert not all_claims()


def with_replaced(**changed):
    def wrong(mdp, pi):
        made = estimates(mdp, pi)
        return made | {name: change(mdp, pi, made) for name, change in changed.items()}
    return wrong


def without_own(mdp, pi, estimate):
    seen = moments(mdp, pi, estimate)
    return seen._replace(each=seen.each - seen.parts["own"] / len(pi))


def by_own_action(mdp, pi, made):
    """A baseline that depends on the action that was played."""
    X = made["counterfactual"].X.copy()
    X[:, :, -1] *= 0.9
    return made["counterfactual"]._replace(X=X)


def doubled(mdp, pi, made):
    return made["own TD"]._replace(X=made["own TD"].X * 2.0)


def own_as_averaged(mdp, pi, made):
    return made["averaged TD"]


def mean_of_values(which, pi, q, z=None):
    """The optimal baseline without the scores' norms, which is the counterfactual one."""
    return BASELINE("counterfactual", pi, q)


def optimal_for_both(which, pi, q, z=None):
    return BASELINE("optimal", pi, q)


def value_for_both(which, pi, q, z=None):
    return np.zeros(q.shape[:-1])


MUTATIONS = [
    (gradient_variance, "estimates", with_replaced(counterfactual=by_own_action), "leave the gradient as it is"),
    (gradient_variance, "estimates", with_replaced(counterfactual=by_own_action), "the part of the agent's own action"),
    (_gradient_noise, "baseline", mean_of_values, "has the least variance"),
    (_gradient_noise, "baseline", mean_of_values, "leaves nothing of what the own action adds"),
    (_gradient_noise, "baseline", optimal_for_both, "the counterfactual baseline leaves a large variance"),
    (_gradient_noise, "baseline", value_for_both, "they do not grow"),
    (_gradient_noise, "baseline", lambda which, pi, q, z=None: BASELINE(which, pi, q) * (1 + (which == "optimal")),
     "it is the optimal one"),
    (gradient_variance, "moments", without_own, "exact variances are those of samples"),
    (gradient_variance, "logit_score_norms", lambda pi: 0.5 * np.ones_like(pi) * pi.min(), "is at most B_i^2"),
    (gradient_variance, "logit_score_norms", lambda pi: np.full_like(pi, 2.0), "the bound is reached"),
    (gradient_variance, "estimates", with_replaced(none=lambda mdp, pi, made: made["value"]), "grow like N^2"),
    (gradient_variance, "estimates", with_replaced(value=lambda mdp, pi, made: made["own Q"]), "in proportion to N"),
    (gradient_variance, "estimates", with_replaced(value=lambda mdp, pi, made: made["none"]), "need no more for being"),
    (gradient_variance, "estimates", with_replaced(value=lambda mdp, pi, made: made["none"]), "summed, is linear in N"),
    (gradient_variance, "estimates", with_replaced(**{"own TD": doubled}), "has no bias where agents do nothing"),
    (gradient_variance, "estimates", with_replaced(**{"own TD": own_as_averaged}), "a bias that no samples mend"),
    (gradient_variance, "estimates", with_replaced(**{"own TD": own_as_averaged}), "averaged rewards cost samples"),
    (gradient_variance, "estimates", with_replaced(**{"averaged TD": lambda mdp, pi, made: Estimate(
        np.sqrt(2.0) * made["value"].X, made["value"].chance)}), "a sampled next state"),
]


@pytest.mark.parametrize(("module", "name", "wrong", "claim"), MUTATIONS, ids=[claim for *_, claim in MUTATIONS])
def test_a_mistake_makes_a_claim_fail(small, monkeypatch, module, name, wrong, claim):
    monkeypatch.setattr(module, name, wrong)
    with np.errstate(all="ignore"):
        assert any(claim in says for says in all_claims())


def test_every_claim_has_a_mutation(small):
    told = [claim for *_, claim in MUTATIONS]
    assert all(any(claim in each.says for claim in told) for each in gradient_variance.experiment(QUICK).claims)


def test_samples_have_the_exact_variance(game):
    estimate = estimates(*game)["own TD"]
    seen = sampled_variance(*game, estimate, 100_000, np.random.default_rng(0))
    assert seen == pytest.approx(moments(*game, estimate).variance, rel=0.02)
