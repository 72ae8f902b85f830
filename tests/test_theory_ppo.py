"""Sequential PPO, pessimism and value factorisation: their parts against loops, other solvers and finite differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from netac import theory
from netac.envs.finite_mdp import random_mdp
from netac.errors import InputError
from netac.exact import FiniteMDP, action_value, nash_gap, objective, optimal_objective
from netac.theory import _factorisation, _pessimism, _sequential, igm_failure, sequential_ppo
from netac.theory._ppo_games import RATIO_R, RATIO_S, linear_game, lock, matrix_game, ratio_game, ratio_value
from netac.theory._ppo_starts import independent, sequential
from netac.theory._sequential import (
    averaged,
    bound,
    conditional,
    course,
    fitted,
    inverse_step,
    iterates,
    joint,
    one_agent,
    step,
)


def drawn(mdp: FiniteMDP, seed=0) -> list[np.ndarray]:
    """Random policies that know the earlier agents' actions."""
    rng = np.random.default_rng(seed)
    return [softmax(rng.normal(size=logits.shape), axis=-1) for logits in _sequential.uniform(mdp)]


def chance(policies, s, actions) -> float:
    """prod_m pi^m(a^m | s, a^1, ..., a^{m-1}), agent by agent."""
    A, earlier, found = policies[0].shape[-1], 0, 1.0
    for own, a in zip(policies, actions, strict=True):
        found *= own[s, earlier, a]
        earlier = earlier * A + a
    return found


@pytest.mark.parametrize("agents", [1, 2, 3])
def test_later_agents_are_averaged_out_with_what_they_know(agents):
    mdp = random_mdp(agents, agents, 3, 2, "folded-normal", 0.9)
    policies = drawn(mdp)
    Q = action_value(one_agent(mdp), joint(policies)[None])
    found = averaged(Q, policies)
    everything = list(itertools.product(range(2), repeat=agents))
    for m in range(1, agents + 1):
        for s, first in itertools.product(range(3), itertools.product(range(2), repeat=m)):
            agreeing = [(j, actions) for j, actions in enumerate(everything) if actions[:m] == first]
            weights = np.array([chance(policies, s, actions) for _, actions in agreeing])
            expected = weights @ Q[s, [j for j, _ in agreeing]] / weights.sum()
            earlier = int("".join(map(str, first[:-1])) or "0", 2)
            assert found[m - 1][s, earlier, first[-1]] == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(joint(policies).sum(axis=1), 1.0)
    assert joint(policies)[1, 1] == pytest.approx(chance(policies, 1, everything[1]))


def test_the_step_is_the_maximum_of_what_it_maximises():
    """<Q, pi> - beta KL(pi || pi_k), by a general solver; with the other sign of KL's weight it is not."""
    rng = np.random.default_rng(1)
    logits, Q, beta = rng.normal(size=(1, 1, 3)), rng.normal(size=(1, 1, 3)), 0.7
    old = softmax(logits[0, 0])

    def loss(x):
        pi = softmax(x)
        return -(Q[0, 0] @ pi) + beta * (pi * np.log(pi / old)).sum()

    best = softmax(minimize(loss, np.zeros(3), tol=1e-12).x)
    new, = step([logits], [Q], 1.0 / beta)
    np.testing.assert_allclose(softmax(new[0, 0]), best, atol=1e-5)
    assert np.abs(softmax(step([logits], [Q], -1.0 / beta)[0][0, 0]) - best).max() > 0.1


def test_regressions_are_those_of_numpy_and_exact_where_features_are_one_hot():
    rng = np.random.default_rng(2)
    phi, weights, target = rng.normal(size=(4, 3, 5)), rng.random((4, 3)), rng.normal(size=(4, 3))
    root = np.sqrt(weights).ravel()[:, None]
    expected = np.linalg.lstsq(root * phi.reshape(-1, 5), root[:, 0] * target.ravel(), rcond=None)[0]
    np.testing.assert_allclose(fitted(phi, weights, target), phi @ expected)
    np.testing.assert_allclose(fitted(np.eye(12).reshape(4, 3, 12), weights, target), target)


@pytest.mark.parametrize("agents", [1, 2])
def test_a_course_is_what_its_iterates_are(agents):
    mdp, K = random_mdp(3, agents, 3, 2, "folded-normal", 0.8), 7
    J = [objective(one_agent(mdp), joint(policies)[None])
         for policies in iterates(mdp, K, inverse_step(mdp.gamma, mdp.actions, K))]
    found = course(mdp, K)
    assert found.error == pytest.approx(optimal_objective(mdp) - np.mean(J), abs=1e-12)
    assert found.last == pytest.approx(optimal_objective(mdp) - J[-1], abs=1e-12)
    assert found.bound == bound(mdp, K) == pytest.approx(agents / 0.2 * np.sqrt(np.log(2) / 14))
    assert found.error <= found.bound and found.lemma < 1e-12 and found.statistical == 0.0
    assert J[0] == pytest.approx(objective(mdp, np.full((agents, 3, 2), 0.5)))


def test_the_bound_is_the_least_over_beta_of_hoeffdings():
    mdp, K = random_mdp(3, 2, 3, 2, "folded-normal", 0.8), 50
    span = 1.0 / (1.0 - mdp.gamma)
    betas = np.geomspace(1e-2, 1e2, 20_001)
    least = (np.log(2) / (betas * K) + betas * span**2 / 8.0).min() * mdp.agents
    assert bound(mdp, K) == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("wrong", [
    lambda policies, Q: [-own for own in Q],                                                     # downhill
    lambda policies, Q: [own.mean(axis=-1, keepdims=True) * np.ones_like(own) for own in Q]])    # averaged over one's own
def test_wrong_steps_break_the_bound(wrong):
    """In a lock, where nothing is learnt by chance."""
    mdp, K = lock(3, 2, 3, 0.9), 3000
    J = [objective(one_agent(mdp), joint(policies)[None])
         for policies in iterates(mdp, K, inverse_step(mdp.gamma, mdp.actions, K), improve=wrong)]
    assert optimal_objective(mdp) - np.mean(J) > bound(mdp, K)
    assert course(mdp, K).error <= bound(mdp, K)


def test_the_claim_fails_with_a_bound_that_is_too_small(monkeypatch):
    mdp = lock(3, 2, 3, 0.9)
    lab = theory.Lab(quick=True)
    right = sequential_ppo.exact_claims(sequential_ppo.exact_rows(lab, {"lock": mdp}))
    monkeypatch.setattr(sequential_ppo, "bound", lambda mdp, K: 0.05 * bound(mdp, K))
    wrong = sequential_ppo.exact_claims(sequential_ppo.exact_rows(lab, {"lock": mdp}))
    assert [claim.passes for claim in right] == [True, True] and [claim.passes for claim in wrong] == [False, True]


def test_the_ratio_game_is_von_neumanns():
    """V = x'Ry / x'Sy for any mixed actions; the best is the largest of the four pure ones."""
    rng, mdp = np.random.default_rng(0), ratio_game()
    for x, y in rng.dirichlet([1, 1], (5, 2)):
        pi = np.stack([np.stack([own, own]) for own in (x, y)])
        assert ratio_value(objective(mdp, pi)) == pytest.approx(x @ RATIO_R @ y / (x @ RATIO_S @ y))
    assert ratio_value(optimal_objective(mdp)) == pytest.approx((RATIO_R / RATIO_S).max())
    assert all(own.min() >= 0.0 and own.max() <= 1.0 for own in (mdp.r, matrix_game("climbing").r, matrix_game("penalty").r))


def test_locks_open_only_for_the_right_actions():
    mdp = lock(2, 2, 2, 0.5)
    pi = np.zeros((2, 3, 2))
    pi[..., 0] = 1.0
    assert objective(mdp, pi) == pytest.approx(optimal_objective(mdp)) == pytest.approx(0.25)
    pi[1, 1] = [0.0, 1.0]
    assert objective(mdp, pi) == 0.0


def test_agents_alone_stay_where_sequential_ones_leave():
    """Climbing, from the equilibrium of middle actions."""
    mdp, start = matrix_game("climbing"), np.zeros((2, 1, 3))
    start[:, :, 1] = 6.0
    assert nash_gap(mdp, softmax(start, axis=-1)) < 0.05
    assert independent(mdp, start, 100.0, 200) < 0.95 < sequential(mdp, start, 100.0, 200)
    assert [own.shape for own in conditional(start)] == [(1, 1, 3), (1, 3, 3)]


def test_rewards_beyond_the_bounds_are_refused(tmp_path):
    mdp = random_mdp(0, 2, 2, 2, "zhang", 0.5)
    with pytest.raises(InputError, match=r"r: the bound is for rewards in \[0, 1\] \(found 'means over the agents .*shift"):
        theory.run("sequential-ppo", quick=True, game=mdp)


# --- pessimism ---

def data_set(seed=0, n=60):
    rng = np.random.default_rng(seed)
    mdp, phi = linear_game(rng, 2, 3, 2, 4)
    return mdp, phi, _pessimism.sample(mdp, phi, np.ones((3, 4)), n, rng), softmax(rng.normal(size=(3, 4)), axis=1)


def loss_of(data, later, gamma, w_, w) -> float:
    """L_D(w', w, pi), transition by transition."""
    return np.mean([(data.phi[s, a] @ w_ - r - gamma * later[t] @ w) ** 2
                    for s, a, r, t in zip(data.s, data.a, data.r, data.after, strict=True)])


@pytest.mark.parametrize("c", [0.3, 30.0])
def test_the_pessimistic_minimiser_against_a_general_solver(c):
    mdp, phi, data, pi = data_set()
    later, radius = np.einsum("sj,sjd->sd", pi, phi), 3.0

    def objective_of(w):
        targets = np.array([r + mdp.gamma * later[t] @ w for r, t in zip(data.r, data.after, strict=True)])
        best = np.linalg.lstsq(data.phi[data.s, data.a], targets, rcond=None)[0]
        return mdp.xi @ later @ w + c * (loss_of(data, later, mdp.gamma, w, w) - loss_of(data, later, mdp.gamma, best, w))

    found = _pessimism.evaluate(data, pi, mdp.gamma, mdp.xi, c, radius)
    inside = {"type": "ineq", "fun": lambda w: radius**2 - w @ w}
    solved = minimize(objective_of, np.zeros(4), constraints=inside, method="SLSQP", options={"ftol": 1e-12, "maxiter": 500}).x
    assert np.linalg.norm(found) <= radius + 1e-9
    assert objective_of(found) <= objective_of(solved) + 1e-7
    np.testing.assert_allclose(found, solved, atol=1e-2)


def test_without_pessimism_it_is_lstd_and_pessimism_lowers_the_estimate():
    mdp, phi, data, pi = data_set(n=200)
    later = np.einsum("sj,sjd->sd", pi, phi)
    seen, after = phi[data.s, data.a], later[data.after]
    w = np.linalg.solve(seen.T @ (seen - mdp.gamma * after), seen.T @ data.r)
    found = {c: _pessimism.evaluate(data, pi, mdp.gamma, mdp.xi, c, 1e3) for c in (np.inf, 1e9, 10.0)}
    np.testing.assert_allclose(found[np.inf], w, rtol=1e-6)
    np.testing.assert_allclose(found[1e9], w, rtol=1e-3)
    assert mdp.xi @ later @ found[10.0] < mdp.xi @ later @ w


def test_q_of_a_linear_game_is_linear_and_lstd_finds_it():
    rng = np.random.default_rng(4)
    mdp, phi = linear_game(rng, 2, 3, 2, 4)
    Q = action_value(one_agent(mdp), np.full((1, 3, 4), 0.25))
    np.testing.assert_allclose(phi @ np.linalg.lstsq(phi.reshape(-1, 4), Q.ravel(), rcond=None)[0], Q, atol=1e-9)
    data = _pessimism.sample(mdp, phi, np.ones((3, 4)), 100_000, rng)
    w = _pessimism.evaluate(data, np.full((3, 4), 0.25), mdp.gamma, mdp.xi, np.inf, 100.0)
    np.testing.assert_allclose(phi @ w, Q, atol=0.15)


def test_the_ball_holds():
    H, g = np.diag([2.0, 1.0, 0.0]), np.array([4.0, 1.0, 0.0])
    np.testing.assert_allclose(_pessimism.in_ball(H, g, 10.0), [2.0, 1.0, 0.0])
    for radius in (0.5, 1.0):
        w = _pessimism.in_ball(H, g, radius)
        assert np.linalg.norm(w) == pytest.approx(radius)
        solved = minimize(lambda w: w @ H @ w - 2 * g @ w, np.zeros(3), method="SLSQP",
                          constraints={"type": "ineq", "fun": lambda w, radius=radius: radius**2 - w @ w}).x
        np.testing.assert_allclose(w, solved, atol=1e-4)
    np.testing.assert_allclose(_pessimism.in_ball(np.zeros((2, 2)), np.array([3.0, 4.0]), 5.0), [3.0, 4.0])


# --- factorisation ---

@pytest.mark.parametrize("mixing", ["vdn", "qmix"])
def test_gradients_of_factorised_values_against_differences(mixing):
    rng = np.random.default_rng(0)
    x = _factorisation.begin(mixing, 2, 3, rng)
    actions, r = rng.integers(3, size=(2, 2, 6)), rng.normal(size=(2, 6))
    found = _factorisation.gradient(x, actions, r)
    assert found.keys() == x.keys()
    for key, values in x.items():
        for index in np.ndindex(values.shape):
            sides = []
            for sign in (1, -1):
                moved = {name: own.copy() for name, own in x.items()}
                moved[key][index] += sign * 1e-6
                sides.append(np.square(_factorisation.mixed(moved, actions) - r).mean(axis=1).sum())
            assert found[key][index] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-6), (key, index)


def test_qmix_is_monotonic_and_finds_what_it_can_represent():
    rng = np.random.default_rng(0)
    x = _factorisation.begin("qmix", 3, 4, rng)
    every = np.tile(np.indices((4, 4)).reshape(2, -1), (3, 1, 1))
    before = _factorisation.mixed(x, every)
    x["Q"][:, 0] += 0.5
    assert (_factorisation.mixed(x, every) > before).all()
    payoff = np.add.outer([0.0, 0.3, 0.1, 0.9], [0.2, 0.8, 0.0, 0.1])
    for mixing in ("vdn", "qmix"):
        start = _factorisation.begin(mixing, 3, 4, rng)
        trained, _ = _factorisation.train(start, payoff, lambda t, best: rng.integers(4, size=(3, 2, 64)), 800, 10)
        assert (_factorisation.greedy(trained) == [3, 1]).all()


def test_the_additive_fit_is_least_squares():
    rng = np.random.default_rng(1)
    payoff, pi = rng.normal(size=(3, 3)), rng.dirichlet(np.ones(3), 2)
    found, _ = igm_failure.additive_fit(payoff, pi)
    rows = np.concatenate([np.repeat(np.eye(3), 3, axis=0), np.tile(np.eye(3), (3, 1))], axis=1)
    root = np.sqrt(np.outer(*pi).ravel())
    solved = np.linalg.lstsq(root[:, None] * rows, root * payoff.ravel(), rcond=None)[0]
    np.testing.assert_allclose(found.ravel(), rows @ solved, atol=1e-12)


def test_moves_of_the_slide():
    pi = np.array([igm_failure.tilted(mean)[None] for mean in (1.0, -1.0)])
    np.testing.assert_allclose([own[0] @ igm_failure.ACTIONS for own in pi], [1.0, -1.0])
    assert igm_failure.ACTIONS[igm_failure.together(pi)].tolist() == [-10.0, 10.0]
    for order in ((0, 1), (1, 0)):
        moved = igm_failure.ACTIONS[igm_failure.in_turn(pi, order)]
        assert moved.prod() == 100.0
