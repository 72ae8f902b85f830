"""Sequential PPO's parts against brute force, and that a wrong sign, averaging, step or constant makes a claim fail."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from oracles.sequential_ppo import chance, index, plain_averages, plain_iterates, values

from netac import theory
from netac.envs.finite_mdp import random_mdp
from netac.exact import FiniteMDP, action_value, limits, objective, objective_and_gradient, optimal_objective
from netac.theory import Lab, _sequential, sequential_ppo
from netac.theory._ppo_games import (
    RATIO_GAMMA,
    RATIO_R,
    RATIO_S,
    linear_game,
    lock,
    matrix_game,
    ratio_game,
    ratio_value,
)
from netac.theory._ppo_starts import METHODS, Leaving, Task, climb, ends, leave
from netac.theory._sequential import (
    averaged,
    bound,
    conditional,
    course,
    discounted_visits,
    fitted,
    inverse_step,
    joint,
    log_linear,
    lstd,
    mixture_errors,
    one_agent,
    step,
    uniform,
)
from netac.utils.errors import InputError
from netac.utils.pictures import save_figure

QUICK = Lab(quick=True)
SIZES = [(1, 3, 4), (2, 3, 3), (3, 2, 2)]           # N, S, A


def game_of(size: tuple[int, int, int], gamma: float = 0.8) -> FiniteMDP:
    return random_mdp(11, *size, "folded-normal", gamma)


def random_conditional(size, rng) -> list[np.ndarray]:
    agents, states, actions = size
    return [rng.dirichlet(np.ones(actions), (states, actions**m)) for m in range(agents)]


# --- policies that know the earlier agents' actions ---

@pytest.mark.parametrize("size", SIZES)
def test_joint_policies_and_averages_by_brute_force(size):
    rng = np.random.default_rng(0)
    agents, states, A = size
    policies, Q = random_conditional(size, rng), rng.standard_normal((states, A**agents))
    for s, (j, actions) in product(range(states), enumerate(product(range(A), repeat=agents))):
        assert joint(policies)[s, j] == pytest.approx(chance(policies, s, actions))
    features = np.stack([Q, Q**2], axis=-1)
    for got, both, wanted, squares in zip(averaged(Q, policies), averaged(features, policies),
                                          plain_averages(Q, policies, size), plain_averages(Q**2, policies, size),
                                          strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-14)
        np.testing.assert_allclose(both, np.stack([wanted, squares], axis=-1), atol=1e-14)


def test_local_policies_ignore_the_earlier_actions():
    local = np.random.default_rng(1).standard_normal((3, 2, 2))
    for own, known in zip(local, conditional(local), strict=True):
        assert (known == own[:, None]).all()


@pytest.mark.parametrize("size", SIZES[:2])
def test_the_tabular_step_is_the_regressions_and_the_regularised_maximum(size):
    rng = np.random.default_rng(2)
    agents, states, A = size
    logits, Q = ([rng.standard_normal((states, A**m, A)) for m in range(agents)] for _ in range(2))
    for own, values_, new in zip(logits, Q, step(logits, Q, 0.7), strict=True):
        weights = rng.random(own.size)                  # of any distribution that is positive everywhere
        delta = np.linalg.lstsq(np.sqrt(weights)[:, None] * np.eye(own.size),
                                np.sqrt(weights) * 0.7 * values_.ravel())[0]
        np.testing.assert_allclose(new, own + delta.reshape(own.shape))
        old, pi = (np.exp(x[0, 0]) / np.exp(x[0, 0]).sum() for x in (own, new))
        regularised = lambda p: values_[0, 0] @ p - (p * np.log(p / old)).sum() / 0.7       # noqa: E731, B023
        for other in rng.dirichlet(np.ones(A), 200):
            assert regularised(pi) >= regularised(0.95 * pi + 0.05 * other)


def test_fitted_is_the_least_weighted_squares():
    rng = np.random.default_rng(3)
    phi, weights, target = rng.standard_normal((4, 3, 5)), rng.dirichlet(np.ones(12)).reshape(4, 3), rng.random((4, 3))
    X, D = phi.reshape(12, 5), np.diag(weights.ravel())
    wanted = X @ np.linalg.solve(X.T @ D @ X, X.T @ D @ target.ravel())
    np.testing.assert_allclose(fitted(phi, weights, target).ravel(), wanted)


def test_log_linear_regressions_by_brute_force():
    rng = np.random.default_rng(4)
    mdp, phi = linear_game(rng, 2, 4, 3, 5)
    policies = random_conditional((2, 4, 3), rng)
    Q = averaged(rng.random((4, 9)), policies)
    got = log_linear(mdp, phi, lambda policies, Q: Q)(policies, Q)
    own = [[phi[s, 3 * a:3 * a + 3].mean(axis=0) for s in range(4) for a in range(3)], phi.reshape(36, 5)]
    d = discounted_visits(mdp, joint(policies))
    for rows, target, found in zip(own, Q, got, strict=True):
        X, w = np.array(rows), np.repeat(d, len(rows) // 4)
        theta = np.linalg.solve((w[:, None] * X).T @ X, X.T @ (w * target.ravel()))
        np.testing.assert_allclose(found.ravel(), X @ theta)


def test_estimates_from_many_samples_are_near_the_exact_values_and_in_their_range():
    rng = np.random.default_rng(5)
    mdp, phi = linear_game(rng, 2, 4, 2, 4, 0.7)
    policies = random_conditional((2, 4, 2), rng)
    exact = averaged(values(mdp, policies)[1], policies)
    for many, error in ((200_000, 0.1), (3, np.inf)):
        for got, wanted in zip(lstd(mdp, phi, many, rng)(policies, []), exact, strict=True):
            assert got.shape == wanted.shape and np.abs(got - wanted).max() < error
            assert got.min() >= 0.0 and got.max() <= 1.0 / 0.3 + 1e-12


# --- the mixture and its bound ---

@pytest.mark.parametrize("size", SIZES)
def test_the_course_follows_a_plain_transcription(size):
    """pi_bar keeps to one of pi_0, ..., pi_{K-1}, drawn at the start: a game of K S states in K separate copies."""
    mdp, K = game_of(size), 5
    found = plain_iterates(mdp, size, K, (1.0 - 0.8) * np.sqrt(8.0 * np.log(size[2]) / K), uniform(mdp))
    P = np.zeros((K * mdp.states, mdp.joint_actions, K * mdp.states))
    for k in range(K):
        own = slice(k * mdp.states, (k + 1) * mdp.states)
        P[own, :, own] = mdp.P
    copies = FiniteMDP(P, np.tile(mdp.r, (K, 1, 1)), np.tile(mdp.xi / K, K), mdp.gamma)
    mixture = [np.concatenate([policies[m] for policies in found]) for m in range(mdp.agents)]
    J = [(1.0 - mdp.gamma) * game.xi @ values(game, policies)[0]
         for game, policies in ((copies, mixture), (mdp, found[-1]))]
    result = course(mdp, K)
    assert result.error == pytest.approx(optimal_objective(mdp) - J[0], abs=1e-12)
    assert result.last == pytest.approx(optimal_objective(mdp) - J[1], abs=1e-12)
    assert result.bound == bound(mdp, K) and result.lemma < 1e-12 and result.statistical == 0.0
    same = course(mdp, K, lambda policies, Q: Q)
    assert same.error == result.error and same.statistical == 0.0
    assert result.error <= same.bound <= result.bound + 1e-12            # the measured spans are within 1 / (1 - gamma)


@pytest.mark.parametrize("gamma", [0.0, 0.9])
@pytest.mark.parametrize("agents", [1, 2, 5])
def test_the_bound_is_the_least_that_a_step_gives(agents, gamma):
    K, W = 70, 1.0 / (1.0 - gamma)
    mdp = FiniteMDP(np.ones((1, 3**agents, 1)), np.ones((1, 3**agents, agents)), np.ones(1), gamma)
    at = lambda inverse: agents * (np.log(3.0) / inverse + K * inverse * W**2 / 8.0) / K        # noqa: E731
    best = inverse_step(gamma, 3, K)
    assert bound(mdp, K) == pytest.approx(at(best))
    assert bound(mdp, K) == pytest.approx(agents * W * np.sqrt(np.log(3.0) / (2.0 * K)))
    assert min(at(0.9 * best), at(1.1 * best)) > at(best)


def test_a_wrong_estimate_is_told_by_its_statistical_error():
    """Agents given -Q^{1:m} end far above the bound of exact values, but not above that with the measured error."""
    result = course(matrix_game("climbing"), 100, lambda policies, Q: [-values_ for values_ in Q])
    assert bound(matrix_game("climbing"), 100) < result.error <= result.bound and result.statistical > 0.5


# --- games ---

def test_the_ratio_games_value_and_gradient():
    rng = np.random.default_rng(6)
    mdp, logits = ratio_game(), rng.standard_normal((2, 2, 2))
    assert mdp.team_reward.min() == 0.0 and mdp.team_reward.max() == 1.0

    def ratio(logits) -> float:
        x, y = (np.exp(own[0]) / np.exp(own[0]).sum() for own in logits)
        return (x @ RATIO_R @ y) / (x @ RATIO_S @ y)

    J, slopes = objective_and_gradient(mdp, np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True))
    assert ratio_value(J) == pytest.approx(ratio(logits))
    assert ratio_value(optimal_objective(mdp)) == pytest.approx(1.0)        # both take their first action
    for at in np.ndindex(2, 2, 2):
        nudge = np.zeros_like(logits)
        nudge[at] = 1e-6
        slope = (ratio(logits + nudge) - ratio(logits - nudge)) / 2e-6
        assert 1.5 * slopes[at] / (1.0 - RATIO_GAMMA) == pytest.approx(slope, abs=1e-8)


def test_no_wrong_pure_policy_of_the_ratio_game_is_an_equilibrium():
    V = RATIO_R / RATIO_S
    assert [(a, b) for a, b in np.ndindex(2, 2) if V[a, b] >= max(V[1 - a, b], V[a, 1 - b])] == [(0, 0)]
    assert len(sequential_ppo._wrong_policies(ratio_game())) == 3


@pytest.mark.parametrize("agents", [1, 2])
def test_the_lock_opens_to_the_right_actions_alone(agents):
    mdp = lock(3, agents, 2, 0.9)
    assert optimal_objective(mdp) == pytest.approx(0.9**3)
    on, back = 0.9 * 0.5**agents, 0.9 * (1.0 - 0.5**agents)        # by chance, discounted
    even = on**3 / (1.0 - back * (1.0 + on + on**2))
    assert objective(mdp, np.full((agents, 4, 2), 0.5)) == pytest.approx(even)


@pytest.mark.parametrize("name", ["climbing", "penalty"])
def test_matrix_games_have_rewards_from_0_to_1(name):
    mdp = matrix_game(name)
    assert mdp.team_reward.min() == 0.0 and mdp.team_reward.max() == 1.0 == optimal_objective(mdp)


def test_every_policys_values_are_linear_in_a_linear_game():
    rng = np.random.default_rng(7)
    mdp, phi = linear_game(rng, 2, 5, 3, 6)
    assert mdp.team_reward.min() >= 0.0 and mdp.team_reward.max() <= 1.0
    for pi in rng.dirichlet(np.ones(9), (3, 5)):
        Q = action_value(one_agent(mdp), pi[None])
        w, left = np.linalg.lstsq(phi.reshape(-1, 6), Q.ravel())[:2]
        assert left[0] < 1e-18 and w.min() >= -1e-9 and w.max() <= 10.0 + 1e-9


# --- from many starts ---

@pytest.mark.parametrize("size", SIZES)
def test_ways_of_learning_follow_plain_transcriptions(size):
    mdp, T = game_of(size), 3
    start, softmax = (np.random.default_rng(8).standard_normal(size),
                      lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True))
    inverse = 2.0 * (1.0 - 0.8) * np.sqrt(8.0 * np.log(size[2]) / T)
    got = {name: ends(Task(name, mdp, start[None], 2.0, T))[0] for name in METHODS}
    last = plain_iterates(mdp, size, T + 1, inverse, conditional(start))[-1]
    assert got["sequential"] == pytest.approx(0.2 * mdp.xi @ values(mdp, last)[0])
    J = lambda logits: 0.2 * mdp.xi @ values(mdp, conditional(softmax(logits)))[0]                      # noqa: E731
    turn, climb = start.copy(), start.copy()
    for _ in range(T):
        for m in range(size[0]):
            others = conditional(softmax(turn))
            Q, own = values(mdp, others)[1], np.zeros(size[1:])
            for s, actions in product(range(size[1]), product(range(size[2]), repeat=size[0])):
                rest = np.prod([others[j][s, 0, actions[j]] for j in range(size[0]) if j != m])
                own[s, actions[m]] += rest * Q[s, index(actions, size[2])]
            turn[m] += inverse * own
        slope = np.zeros(size)
        for at in np.ndindex(*size):
            nudge = np.zeros(size)
            nudge[at] = 1e-5
            slope[at] = (J(climb + nudge) - J(climb - nudge)) / 2e-5
        climb = climb + 2.0 * slope
    assert got["in turn"] == pytest.approx(J(turn)) and got["independent"] == pytest.approx(J(climb), abs=1e-9)
    if size[0] == 1:
        assert got["in turn"] == pytest.approx(got["sequential"], abs=1e-14)


def test_rows_of_starts_count_who_reaches_the_optimum():
    mdp = matrix_game("penalty")
    task = Task("independent", mdp, np.zeros((4, 2, 1, 3)), 1.0, 9)
    gap = 1.0 - mdp.team_reward.mean()
    row = sequential_ppo._start_row("penalty", "independent", 1.0, task, 1.0 - gap * np.array([0.0, 0.009, 0.011, 0.5]))
    assert (row["reached"] == 0.5 and row["worst_lost"] == pytest.approx(0.5)
            and row["median_lost"] == pytest.approx(0.01))
    assert sequential_ppo._best_share([row, {**row, "reached": 0.25}], "independent") == {"penalty": 0.5}


def test_leaving_begins_where_it_says_and_counts_iterations():
    mdp = matrix_game("penalty")
    task = Leaving(mdp, (1, 1), 0.1, 2.0, 0.98, 400)
    logits = np.log([[[0.05, 0.9, 0.05]]] * 2)
    alone, turns = leave(task)
    for method, count, size in ((METHODS["independent"], alone, 2.0), (METHODS["sequential"], turns, 2.0)):
        if np.isnan(count):
            continue
        at = [method(mdp, logits, size if method is METHODS["independent"] else size * np.sqrt(k / 500), k)
              for k in (int(count) - 1, int(count)) if k]
        assert at[-1] >= 0.98 > at[0]
    assert np.isnan(leave(task._replace(limit=2))).all()
    assert next(iter(climb(mdp, logits, 1.0))) == pytest.approx(np.exp(logits))


def test_mixtures_of_every_length_are_of_one_run():
    mdp = game_of((2, 3, 2))
    errors = mixture_errors(mdp, 40, inverse_step(mdp.gamma, 2, 40))
    assert errors[-1] == pytest.approx(course(mdp, 40).error)
    assert errors[0] == pytest.approx(optimal_objective(mdp) - objective(mdp, np.full((2, 3, 2), 0.5)))


def test_the_slides_formula_is_held_against_the_return():
    row = sequential_ppo.horizon_rows(QUICK)[1]                 # gamma 0.8, one agent with two actions
    assert row["ratio"] == pytest.approx((row["error"] / 0.2) / (1.0 / 0.2 * np.sqrt(np.log(2.0) / row["K"])))


# --- mutations of sequential PPO ---

def failed(claims) -> set[str]:
    return {claim.says for claim in claims if not claim.passes}


def exact_claims() -> list[theory.Claim]:
    played = {"climbing": matrix_game("climbing"), "random": game_of((2, 3, 2), 0.5)}
    return sequential_ppo.exact_claims(sequential_ppo.exact_rows(QUICK, played))


def test_exact_claims_pass():
    assert not failed(exact_claims())


MUTATIONS = [
    (_sequential, "step", lambda logits, Q, inverse: step(logits, Q, -inverse), "log A / 2K"),
    (_sequential, "inverse_step", lambda *given: 0.01 * inverse_step(*given), "log A / 2K"),
    (sequential_ppo, "bound", lambda *given: 0.25 * bound(*given), "log A / 2K"),
    (_sequential, "averaged",
     lambda Q, policies: averaged(Q, [np.full_like(own, 1 / own.shape[-1]) for own in policies]), "sum over agents"),
    (_sequential, "averaged", lambda Q, policies: [-own for own in averaged(Q, policies)], "sum over agents"),
    (_sequential, "objective", lambda mdp, pi: objective(mdp, pi) / (1.0 - mdp.gamma), "sum over agents"),
]


@pytest.mark.parametrize(("module", "name", "wrong", "claim"), MUTATIONS,
                         ids=["sign", "beta", "constant", "averaging", "sign of Q", "normalisation"])
def test_a_wrong_sign_averaging_or_beta_makes_a_claim_fail(monkeypatch, module, name, wrong, claim):
    monkeypatch.setattr(module, name, wrong)
    assert any(claim in says for says in failed(exact_claims()))


# --- a game of the user's ---

@pytest.mark.parametrize("agents", [1, 2, 3])
def test_a_users_game_gets_the_exact_part(agents, tmp_path):
    found = theory.run("sequential-ppo", quick=True, jobs=1, game=random_mdp(7, agents, 3, 2, "folded-normal", 0.5))
    assert found.passes and [table.name for table in found.tables] == ["exact"] and len(found.claims) == 2
    save_figure(found.draw, tmp_path / "picture.png")


def test_a_game_without_consequences_has_no_error(tmp_path):
    found = theory.run("sequential-ppo", quick=True, jobs=1,
                       game=FiniteMDP(np.ones((1, 4, 1)), np.ones((1, 4, 2)), np.ones(1), 0.5))
    assert found.passes and all(row["slope"] is None for row in found.tables[0].rows)
    save_figure(found.draw, tmp_path / "picture.png")


def test_a_game_without_choice_is_refused():
    with pytest.raises(InputError, match="no choice"):
        theory.run("sequential-ppo", quick=True, game=random_mdp(0, 2, 3, 1, "folded-normal"))


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_rewards_outside_0_1_are_refused(shift):
    with pytest.raises(InputError, match=r"rewards in \[0, 1\]"):
        theory.run("sequential-ppo", quick=True, game=FiniteMDP(np.ones((1, 4, 1)), np.full((1, 4, 2), 0.5) + 2 * shift,
                                                                np.ones(1), 0.5))
    # the mean over the agents is what counts
    even = FiniteMDP(np.ones((1, 4, 1)), np.array([0.5 + 2 * shift, 0.5 - 2 * shift]) * np.ones((1, 4, 2)), np.ones(1),
                     0.5)
    assert sequential_ppo.suitable(even) is even


def test_a_game_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(limits, "LARGEST", 35)
    with pytest.raises(InputError, match="too large"):
        theory.run("sequential-ppo", quick=True, game=random_mdp(0, 2, 3, 2, "folded-normal"))


@pytest.mark.parametrize("name", ["pessimistic-ppo", "igm-failure"])
def test_the_others_take_no_game(name):
    with pytest.raises(InputError, match="games of its own"):
        theory.run(name, quick=True, game=random_mdp(0, 2, 3, 2, "folded-normal"))
