"""Costs of policies, and the best joint policy within limits, against sums over time and against searches."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac import exact
from netac.envs import finite_mdp
from netac.utils.errors import InputError


def random_case(seed: int, agents: int, states: int, actions: int, gamma: float):
    """A random MDP, costs (S, J, N) and local policies (N, S, A)."""
    rng = np.random.default_rng(seed)
    joint = actions**agents
    mdp = exact.FiniteMDP(rng.dirichlet(np.ones(states), (states, joint)), rng.normal(size=(states, joint, agents)),
                          rng.dirichlet(np.ones(states)), gamma)
    return mdp, rng.random((states, joint, agents)), rng.dirichlet(np.ones(actions), (agents, states))


cases = st.builds(random_case, seed=st.integers(0, 10**6), agents=st.integers(1, 3), states=st.integers(1, 4),
                  actions=st.integers(1, 3), gamma=st.sampled_from([0.0, 0.5, 0.9]))


@given(cases)
@settings(max_examples=30)
def test_cost_values_are_sums_over_time(case):
    mdp, costs, pi = case
    joint = np.array([[np.prod([pi[i, s, a] for i, a in enumerate(actions)])
                       for actions in product(range(mdp.actions), repeat=mdp.agents)] for s in range(mdp.states)])
    chain = np.einsum("sj,sjt->st", joint, mdp.P)
    reached, values = np.eye(mdp.states), np.zeros((mdp.states, mdp.agents))
    for t in range(400):
        values += mdp.gamma**t * reached @ (joint[:, :, None] * costs).sum(axis=1)
        reached = reached @ chain
    assert exact.cost_values(mdp, costs, pi) == pytest.approx(values, abs=1e-10)
    assert exact.cost_objectives(mdp, costs, pi) == pytest.approx((1 - mdp.gamma) * mdp.xi @ values, abs=1e-10)
    Q = exact.cost_action_values(mdp, costs, pi)
    assert (joint[:, :, None] * Q).sum(axis=1) == pytest.approx(values, abs=1e-10)


@given(cases)
@settings(max_examples=30)
def test_costs_that_are_rewards_have_their_values(case):
    mdp, _, pi = case
    found = exact.cost_values(mdp, mdp.r, pi)
    assert found.mean(axis=1) == pytest.approx(exact.value_function(mdp, pi), abs=1e-10)
    assert exact.cost_objectives(mdp, mdp.r, pi).mean() == pytest.approx(exact.objective(mdp, pi), abs=1e-10)


def of_joint(mdp: exact.FiniteMDP, policy: np.ndarray, table: np.ndarray) -> float:
    """(1 - gamma) x the discounted sum of `table` (S, J) under a joint policy."""
    chain = np.einsum("sj,sjt->st", policy, mdp.P)
    V = np.linalg.solve(np.eye(mdp.states) - mdp.gamma * chain, (policy * table).sum(axis=1))
    return (1 - mdp.gamma) * mdp.xi @ V


@given(case=cases, tight=st.floats(0.05, 0.95))
@settings(max_examples=40)
def test_the_feasible_optimum_is_within_its_limits_and_has_no_better(case, tight):
    mdp, costs, _ = case
    least = exact.optimal_objective(exact.FiniteMDP(mdp.P, -costs.sum(axis=2)[:, :, None], mdp.xi, mdp.gamma))
    at_best = exact.feasible_optimum(mdp, costs, 1e3)
    assert at_best.objective == pytest.approx(exact.optimal_objective(mdp), abs=1e-7)
    assert not at_best.multipliers.any()
    frugal = exact.feasible_optimum(exact.FiniteMDP(mdp.P, -costs, mdp.xi, mdp.gamma), costs, 1e3)
    limits = frugal.costs + tight * np.maximum(at_best.costs - frugal.costs, 0.0) + 1e-9
    best = exact.feasible_optimum(mdp, costs, limits)
    assert (best.costs <= limits + 1e-7).all() and -frugal.costs.sum() == pytest.approx(least, abs=1e-7)
    assert best.policy.sum(axis=1) == pytest.approx(1.0) and (best.policy >= 0).all()
    assert of_joint(mdp, best.policy, mdp.team_reward) == pytest.approx(best.objective, abs=1e-7)
    for agent in range(mdp.agents):
        assert of_joint(mdp, best.policy, costs[:, :, agent]) == pytest.approx(best.costs[agent], abs=1e-7)
    priced = mdp.team_reward - costs @ best.multipliers                     # strong duality: no policy gains more
    dual = exact.optimal_objective(exact.FiniteMDP(mdp.P, priced[:, :, None], mdp.xi, mdp.gamma))
    assert dual + best.multipliers @ limits == pytest.approx(best.objective, abs=1e-6)


def test_what_cannot_be_within_limits_is_refused():
    mdp, costs, _ = random_case(0, 2, 3, 2, 0.9)
    with pytest.raises(InputError, match="no policy costs as little"):
        exact.feasible_optimum(mdp, costs, 1e-6)
    with pytest.raises(InputError, match="limits do not fit the agents"):
        exact.feasible_optimum(mdp, costs, [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="wrong shape or not finite"):
        exact.cost_values(mdp, costs[:, :, :1], np.full((2, 3, 2), 0.5))
    with pytest.raises(InputError, match="wrong shape or not finite"):
        exact.feasible_optimum(mdp, costs * np.inf, 1.0)


# --- the environment ---

def test_costs_of_a_file_and_of_a_random_mdp_are_those_of_the_steps(tmp_path):
    mdp, costs, _ = random_case(1, 2, 3, 2, 0.9)
    np.savez(tmp_path / "game.npz", P=mdp.P, r=mdp.r, xi=mdp.xi, costs=costs.reshape(3, 2, 2, 2))
    env = finite_mdp.make(finite_mdp.Settings(path=str(tmp_path / "game.npz")), 2)
    states, actions = np.array([0, 2, 1]), np.array([[0, 1, 1], [1, 0, 1]])
    assert env.costs(states, actions, states).tolist() == [
        [costs[s, 2 * a + b, i] for s, a, b in zip(states, *actions, strict=True)] for i in range(2)]
    drawn, free = (finite_mdp.make(finite_mdp.Settings(seed=4, states=3, **more), 2) for more in ({"costs": True}, {}))
    assert free.costs is None and (drawn.mdp.r == free.mdp.r).all() and (drawn.mdp.P == free.mdp.P).all()
    assert drawn.charges.shape == (3, 4, 2) and 0 <= drawn.charges.min() < drawn.charges.max() < 1


@pytest.mark.parametrize(("costs", "message"), [
    (np.zeros((3, 4, 1)), "wrong shape"), (np.zeros((3, 4)), "wrong shape"),
    (np.full((3, 4, 2), np.nan), "something else than finite numbers"),
    (np.full((3, 4, 2), "dear"), "something else than finite numbers")])
def test_files_with_other_costs_are_refused(costs, message, tmp_path):
    mdp, *_ = random_case(1, 2, 3, 2, 0.9)
    np.savez(tmp_path / "game.npz", P=mdp.P, r=mdp.r, xi=mdp.xi, costs=costs)
    with pytest.raises(InputError, match=message) as refused:
        finite_mdp.read_mdp(tmp_path / "game.npz")
    assert refused.value.key == "costs"
