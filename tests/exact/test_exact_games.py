"""Exact quantities of several agents: subsets, advantages, best responses, Nash gap; against loops and Monte Carlo."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_exact import random_case, softmax

from netac import exact
from netac.utils.errors import InputError

small = st.builds(random_case, seed=st.integers(0, 10**6), agents=st.integers(1, 3), states=st.integers(1, 3),
                  actions=st.integers(1, 3), gamma=st.sampled_from([0.0, 0.5, 0.9]))
some = settings(max_examples=25)


def subset_value_by_loops(mdp, pi, agents, Q) -> np.ndarray:
    """Q^{i_{1:m}}, summed joint action by joint action."""
    found = np.zeros((mdp.states, *[mdp.actions] * len(agents)))
    for s in range(mdp.states):
        for j, joint in enumerate(itertools.product(range(mdp.actions), repeat=mdp.agents)):
            chance = np.prod([pi[k, s, joint[k]] for k in range(mdp.agents) if k not in agents])
            found[(s, *(joint[k] for k in agents))] += chance * Q[s, j]
    return found


@some
@given(small, st.randoms(use_true_random=False))
def test_values_of_subsets_are_sums_over_the_others(case, random):
    mdp, logits = case
    pi, Q = softmax(logits), exact.action_value(mdp, softmax(logits))
    agents = random.sample(range(mdp.agents), random.randint(0, mdp.agents))
    found, summed = exact.subset_action_value(mdp, pi, agents), subset_value_by_loops(mdp, pi, agents, Q)
    np.testing.assert_allclose(found, summed, atol=1e-12)


@some
@given(small)
def test_nobody_is_v_and_everybody_is_q(case):
    mdp, logits = case
    pi = softmax(logits)
    np.testing.assert_allclose(exact.subset_action_value(mdp, pi, []), exact.value_function(mdp, pi), atol=1e-10)
    everybody = exact.subset_action_value(mdp, pi, range(mdp.agents))
    assert (everybody.reshape(mdp.states, -1) == exact.action_value(mdp, pi)).all()


@some
@given(small, st.randoms(use_true_random=False))
def test_advantages_add_up_in_any_order(case, random):
    """Lemma 1 of Kuba et al., and a mean of 0 over one's own actions."""
    mdp, logits = case
    pi, order = softmax(logits), random.sample(range(mdp.agents), mdp.agents)
    total = exact.subset_advantage(mdp, pi, order)
    added = sum(exact.subset_advantage(mdp, pi, [agent], order[:m]).reshape(
        mdp.states, *[mdp.actions] * (m + 1), *[1] * (mdp.agents - m - 1)) for m, agent in enumerate(order))
    np.testing.assert_allclose(added, total, atol=1e-11 * max(1.0, np.abs(total).max()))
    own = exact.subset_advantage(mdp, pi, [order[-1]], order[:-1])
    weights = pi[order[-1]].reshape(mdp.states, *[1] * (mdp.agents - 1), mdp.actions)
    np.testing.assert_allclose((own * weights).sum(axis=-1), 0.0, atol=1e-11 * max(1.0, np.abs(own).max()))


@pytest.mark.parametrize("agents", [[0, 0], [2], [-1]])
def test_agents_that_are_not_there_or_named_twice(agents):
    mdp, logits = random_case(0, 2, 2, 2, 0.5)
    with pytest.raises(ValueError, match="are not different ones of 0 to 1"):
        exact.subset_action_value(mdp, softmax(logits), agents)


def best_by_enumeration(mdp, pi, agent, eta) -> float:
    """max J over the corners of one agent's eta-soft policies, among which the best one is."""
    best = -np.inf
    for choice in itertools.product(range(mdp.actions), repeat=mdp.states):
        changed = pi.copy()
        changed[agent] = eta
        changed[agent, np.arange(mdp.states), choice] = 1.0 - eta * (mdp.actions - 1)
        best = max(best, exact.objective(mdp, changed))
    return best


@some
@given(small, st.sampled_from([0.0, 0.05, 0.3]))
def test_best_responses_and_the_gap_against_enumeration(case, eta):
    mdp, logits = case
    pi = (1.0 - eta * mdp.actions) * softmax(logits) + eta
    now = exact.objective(mdp, pi)
    gains = []
    for agent in range(mdp.agents):
        changed = pi.copy()
        changed[agent] = exact.best_response(mdp, pi, agent, eta)
        assert (changed[agent] >= eta - 1e-12).all()
        np.testing.assert_allclose(changed[agent].sum(axis=1), 1.0)
        reached = exact.objective(mdp, changed)
        assert reached == pytest.approx(best_by_enumeration(mdp, pi, agent, eta), abs=1e-10)
        gains.append(reached - now)
    assert exact.nash_gap(mdp, pi, eta) == pytest.approx(max(0.0, *gains), abs=1e-12)


def test_the_gap_is_0_in_an_equilibrium_that_is_not_the_best():
    payoff = np.array([[2.0, 0.0], [0.0, 1.0]]).reshape(1, 4, 1)
    mdp = exact.FiniteMDP(np.ones((1, 4, 1)), payoff.repeat(2, axis=2), np.ones(1), 0.0)
    pure = np.eye(2)[:, None]          # both agents' action 0, or 1
    gaps = {(i, j): exact.nash_gap(mdp, np.stack([pure[i], pure[j]])) for i in range(2) for j in range(2)}
    assert gaps == {(0, 0): 0.0, (1, 1): 0.0, (0, 1): pytest.approx(2.0), (1, 0): pytest.approx(2.0)}
    assert exact.nash_gap(mdp, np.full((2, 1, 2), 0.5)) == pytest.approx(1.0 - 0.75)


def test_one_agent_responds_with_the_best_policy():
    mdp, logits = random_case(3, 1, 4, 3, 0.9)
    response = exact.best_response(mdp, softmax(logits), 0)
    assert response.argmax(axis=1).tolist() == exact.optimal_joint_actions(mdp).tolist()
    assert exact.objective(mdp, response[None]) == pytest.approx(exact.optimal_objective(mdp))


def test_softness_that_leaves_no_policy():
    mdp, logits = random_case(0, 2, 2, 2, 0.5)
    for eta in (-0.1, 0.51):
        with pytest.raises(InputError, match=r"eta: leaves no policy \(found .*; valid: 0 <= eta <= 1/2"):
            exact.best_response(mdp, softmax(logits), 0, eta)


def test_games_that_are_too_large_say_how_large():
    exact.refuse_large(20, 10, 2)
    with pytest.raises(InputError,
                       match=r"too large to be solved exactly \(found '20 x 2\^16 x 20 = 26,214,400 numbers'; "
                             r"valid: states x actions\^agents x states up to 20,000,000\)"):
        exact.refuse_large(20, 16, 2)


def test_ten_agents_of_twenty_states_are_solved():
    """Everything the library knows of a game with 1,024 joint actions, against each other."""
    mdp, logits = random_case(1, 10, 20, 2, 0.9)
    pi = softmax(logits)
    V, Q = exact.value_function(mdp, pi), exact.action_value(mdp, pi)
    np.testing.assert_allclose((exact.joint_policy(pi) * Q).sum(axis=1), V, atol=1e-10)
    J, gradient = exact.objective_and_gradient(mdp, pi)
    chain = exact.induced_chain(mdp, pi)
    visits = exact.visitation_distribution(chain.transition, mdp.xi, mdp.gamma)
    assert visits @ chain.reward == pytest.approx(J)
    for agent in (0, 9):                       # d(s) pi(a|s) A^i(s, a): the policy gradient theorem
        own = exact.subset_advantage(mdp, pi, [agent], Q=Q)
        np.testing.assert_allclose(gradient[agent], visits[:, None] * pi[agent] * own, atol=1e-12)
    assert 0.0 < exact.nash_gap(mdp, pi) <= exact.optimal_objective(mdp) - J


def simulated(mdp, pi, start, first, episodes, rng) -> np.ndarray:
    """Returns of episodes from `start` (None: drawn) with joint action `first`, stopped with chance 1 - gamma."""
    joint = exact.joint_policy(pi).cumsum(axis=1)
    move = mdp.P.cumsum(axis=2)
    states, bootstrap_mask, total = np.full(episodes, start), np.ones(episodes, dtype=bool), np.zeros(episodes)
    actions = None if first is None else np.full(episodes, first)
    while bootstrap_mask.any():
        if actions is None:
            actions = np.minimum((joint[states] < rng.random((episodes, 1))).sum(axis=1), mdp.joint_actions - 1)
        total += bootstrap_mask * mdp.team_reward[states, actions]
        states = np.minimum((move[states, actions] < rng.random((episodes, 1))).sum(axis=1), mdp.states - 1)
        actions = None
        bootstrap_mask &= rng.random(episodes) < mdp.gamma
    return total


@pytest.mark.parametrize("agents", [1, 2])
def test_values_against_monte_carlo(agents):
    """Within 4 standard errors, 20,000 episodes each."""
    mdp, logits = random_case(7, agents, 3, 2, 0.6)
    pi, rng = softmax(logits), np.random.default_rng(0)
    V, Q = exact.value_function(mdp, pi), exact.action_value(mdp, pi)
    for state, first, truth in [(0, None, V[0]), (2, None, V[2]), (1, 1, Q[1, 1]), (2, 0, Q[2, 0])]:
        returns = simulated(mdp, pi, state, first, 20_000, rng)
        assert abs(returns.mean() - truth) <= 4.0 * returns.std() / np.sqrt(len(returns))
        assert returns.std() > 0.0
