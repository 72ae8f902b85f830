"""netac.exact against the stored reference values, finite differences, brute force and the defining equations."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from netac import exact
from netac.theory._ferry import ferry
from netac.utils.errors import InputError, RunError

DATA = Path(__file__).parents[2] / "examples" / "data" / "networked_mdp_6x5.npz"


softmax = partial(scipy.special.softmax, axis=-1)


def random_case(seed: int, agents: int, states: int, actions: int, gamma: float) -> tuple[exact.FiniteMDP, np.ndarray]:
    """A random MDP and random logits (N, S, A)."""
    rng = np.random.default_rng(seed)
    joint = actions**agents
    mdp = exact.FiniteMDP(P=rng.dirichlet(np.ones(states), (states, joint)), r=rng.normal(size=(states, joint, agents)),
                          xi=rng.dirichlet(np.ones(states)), gamma=gamma)
    return mdp, rng.normal(size=(agents, states, actions))


cases = st.builds(random_case, seed=st.integers(0, 10**6), agents=st.integers(1, 3), states=st.integers(1, 4),
                  actions=st.integers(1, 3), gamma=st.sampled_from([0.0, 0.5, 0.9, 0.99]))
several_times = settings(max_examples=40)


@pytest.fixture(scope="module")
def shared():
    with np.load(DATA) as file:
        return dict(file)


@pytest.fixture(scope="module")
def shared_mdp(shared):
    return exact.FiniteMDP(shared["P"], shared["r"], shared["xi"], shared["gamma"])


# --- the stored reference values ---------------------------------------------------------------------

def test_reference_values_of_the_shared_mdp(shared, shared_mdp):
    pi = softmax(shared["theta0"])
    J, gradient = exact.objective_and_gradient(shared_mdp, pi)
    assert exact.optimal_objective(shared_mdp) == pytest.approx(shared["J_max"], abs=1e-8)
    assert pytest.approx(shared["J_theta0"], abs=1e-8) == J
    assert exact.td_fixed_point(shared_mdp, pi, np.eye(5)) == pytest.approx(shared["omega_star"], abs=1e-8)
    assert (gradient**2).sum() == pytest.approx(shared["grad_sq"], rel=1e-8)


def test_accepted_shapes_mean_the_same(shared, shared_mdp):
    P, r = shared["P"].reshape(5, 64, 5), shared["r"].reshape(5, 64, 5, 6)
    flat = exact.FiniteMDP(P, (P[..., None] * r).sum(axis=2), shared["xi"], shared["gamma"])
    for mdp in (shared_mdp, flat, exact.FiniteMDP(P, r, shared["xi"], shared["gamma"])):
        assert (mdp.states, mdp.joint_actions, mdp.agents, mdp.actions) == (5, 64, 6, 2)
        np.testing.assert_array_equal(mdp.P, P)
        np.testing.assert_allclose(mdp.r, flat.r, rtol=1e-13)
    assert np.shares_memory(flat.P, P)
    with pytest.raises(ValueError, match="read-only"):
        flat.P[0] = 0


# --- distributions --------------------------------------------------------------------------------------

@several_times
@given(cases)
def test_joint_policy_and_transition_are_the_sums_over_joint_actions(case):
    mdp, logits = case
    pi = softmax(logits)
    joint, chain = exact.joint_policy(pi), np.zeros((mdp.states, mdp.states))
    for s in range(mdp.states):
        for j, a in enumerate(itertools.product(range(mdp.actions), repeat=mdp.agents)):
            probability = np.prod([pi[i, s, a[i]] for i in range(mdp.agents)])
            assert joint[s, j] == pytest.approx(probability, rel=1e-12)
            chain[s] += probability * mdp.P[s, j]
    np.testing.assert_allclose(exact.transition(mdp, pi), chain, rtol=1e-12)


@several_times
@given(cases)
def test_stationary_and_visitation_distributions_solve_their_equations(case):
    mdp, logits = case
    chain = exact.transition(mdp, softmax(logits))
    mu = exact.stationary_distribution(chain)
    d = exact.visitation_distribution(chain, mdp.xi, mdp.gamma)
    np.testing.assert_allclose(mu @ chain, mu, atol=1e-13)
    np.testing.assert_allclose(d, (1 - mdp.gamma) * mdp.xi + mdp.gamma * d @ chain, atol=1e-13)
    restarting = mdp.gamma * chain + (1 - mdp.gamma) * mdp.xi
    np.testing.assert_allclose(d, exact.stationary_distribution(restarting), atol=1e-12)
    assert mu.sum() == pytest.approx(1, abs=1e-13)
    assert d.sum() == pytest.approx(1, abs=1e-12)
    assert mu.min() >= 0


def test_periodic_and_transient_chains_have_a_stationary_distribution():
    cycle = np.roll(np.eye(3), 1, axis=1)
    np.testing.assert_allclose(exact.stationary_distribution(cycle), np.full(3, 1 / 3), rtol=1e-14)
    leaving = np.array([[0.9, 0.1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0.5, 0, 0, 0.5]])
    np.testing.assert_array_equal(exact.stationary_distribution(leaving), [0, 0.5, 0.5, 0])


def test_recurrent_classes_are_found_in_a_long_reducible_chain():
    line = np.eye(70, k=1)  # 0 -> 1 -> ... -> 69, which is absorbing; 0 may also leave for the cycle {70, 71}
    chain = np.zeros((72, 72))
    chain[:70, :70] = line
    chain[69, 69] = chain[70, 71] = chain[71, 70] = 1
    chain[0, [1, 70]] = 0.5
    assert [c.tolist() for c in exact.recurrent_classes(chain)] == [[69], [70, 71]]
    with pytest.raises(RunError, match=r"2 separate sets of states, \[69\] and \[70, 71\]"):
        exact.stationary_distribution(chain)


# --- values and gradient ----------------------------------------------------------------------------------

@several_times
@given(cases)
def test_values_and_objective_satisfy_bellmans_equation(case):
    mdp, logits = case
    pi = softmax(logits)
    V, Q, joint = exact.value_function(mdp, pi), exact.action_value(mdp, pi), exact.joint_policy(pi)
    for s in range(mdp.states):
        for j in range(mdp.joint_actions):
            assert Q[s, j] == pytest.approx(mdp.r[s, j].mean() + mdp.gamma * mdp.P[s, j] @ V, abs=1e-10)
        assert V[s] == pytest.approx(joint[s] @ Q[s], abs=1e-10)
    visits = exact.visitation_distribution(exact.transition(mdp, pi), mdp.xi, mdp.gamma)
    assert exact.objective(mdp, pi) == pytest.approx(visits @ (joint * mdp.team_reward).sum(axis=1), abs=1e-12)


@several_times
@given(cases)
def test_gradient_is_that_of_finite_differences(case):
    mdp, logits = case
    gradient = exact.softmax_gradient(mdp, softmax(logits))
    numerical, step = np.empty_like(logits), 1e-5
    for index in np.ndindex(logits.shape):
        shift = np.zeros_like(logits)
        shift[index] = step
        up, down = (exact.objective(mdp, softmax(logits + sign * shift)) for sign in (1, -1))
        numerical[index] = (up - down) / (2 * step)
    np.testing.assert_allclose(gradient, numerical, atol=1e-8)


@settings(max_examples=20)
@given(st.builds(random_case, seed=st.integers(0, 10**6), agents=st.integers(1, 2), states=st.integers(1, 3),
                 actions=st.just(2), gamma=st.sampled_from([0.0, 0.9, 0.999])))
def test_optimal_objective_is_the_best_of_all_deterministic_policies(case):
    mdp, _ = case
    best = -np.inf
    for choice in itertools.product(range(2), repeat=mdp.agents * mdp.states):
        pi = np.eye(2)[np.reshape(choice, (mdp.agents, mdp.states))]
        best = max(best, exact.objective(mdp, pi))
    assert exact.optimal_objective(mdp) == pytest.approx(best, abs=1e-11)


def test_optimum_of_a_game_whose_actions_are_all_alike_is_found():
    P = np.full((4, 9, 4), 0.25)
    mdp = exact.FiniteMDP(P, np.full((4, 9, 2), 0.1), np.full(4, 0.25), 0.999999)
    assert exact.optimal_objective(mdp) == pytest.approx(0.1, abs=1e-9)


# --- fixed points -------------------------------------------------------------------------------------------

@several_times
@given(cases, st.integers(1, 3))
def test_no_expected_update_is_left_at_the_fixed_points(case, width):
    mdp, logits = case
    pi = softmax(logits)
    rng = np.random.default_rng(width)
    phi, psi = rng.normal(size=(mdp.states, width)), rng.normal(size=(mdp.states, mdp.joint_actions, width))
    joint, chain = exact.joint_policy(pi), exact.transition(mdp, pi)
    mu, average = exact.stationary_distribution(chain), exact.average_reward(mdp, pi)
    lam = exact.reward_fixed_point(mdp, pi, psi)
    for setting, gamma, baseline in (("discounted", mdp.gamma, 0.0), ("average", 1.0, average)):
        omega = exact.td_fixed_point(mdp, pi, phi, setting)
        weights = exact.action_value_fixed_point(mdp, pi, psi.reshape(-1, width), setting)
        V_update, Q_update, R_update = np.zeros((3, width))
        next_Q = (joint * (psi @ weights)).sum(axis=1)
        for s, j in itertools.product(range(mdp.states), range(mdp.joint_actions)):
            mass, reward = mu[s] * joint[s, j], mdp.r[s, j].mean() - baseline
            V_update += mass * (reward + gamma * mdp.P[s, j] @ phi @ omega - phi[s] @ omega) * phi[s]
            Q_update += mass * (reward + gamma * mdp.P[s, j] @ next_Q - psi[s, j] @ weights) * psi[s, j]
            R_update += mass * (reward + baseline - psi[s, j] @ lam) * psi[s, j]
        np.testing.assert_allclose([V_update, Q_update, R_update], 0, atol=1e-9)


@several_times
@given(cases, st.integers(1, 3))
def test_the_minimiser_of_the_squared_td_error_is_no_worse_than_its_neighbours(case, width):
    mdp, logits = case
    pi, phi = softmax(logits), np.random.default_rng(width).normal(size=(mdp.states, width))
    mu = exact.stationary_distribution(exact.transition(mdp, pi))
    chances = mu[:, None, None] * exact.joint_policy(pi)[:, :, None] * mdp.P

    def squared(omega: np.ndarray) -> float:                            # of each agent's own reward: equation 7b
        V = phi @ omega
        delta = mdp.r[:, :, None] + (mdp.gamma * V - V[:, None])[:, None, :, None]
        return np.einsum("sjt,sjti->", chances, delta**2)

    least = exact.td_error_minimiser(mdp, pi, phi)
    for step in np.concatenate([np.eye(width), -np.eye(width)]):
        assert squared(least) <= squared(least + 1e-3 * step) + 1e-12


def test_td_rests_elsewhere_than_at_the_minimiser_unless_moves_are_certain():
    mdp, pi = ferry(), np.full((3, 4, 2), 0.5)
    fixed, least = exact.td_fixed_point(mdp, pi, np.eye(4)), exact.td_error_minimiser(mdp, pi, np.eye(4))
    np.testing.assert_allclose(fixed, [3.337, 3.338, 2.919, 2.919], atol=5e-4)
    np.testing.assert_allclose(least, [3.175, 3.243, 2.984, 2.984], atol=5e-4)
    round_trip = exact.FiniteMDP(np.roll(np.eye(3), 1, axis=1)[:, None], np.random.default_rng(0).random((3, 1, 1)),
                                 np.full(3, 1 / 3), 0.9)
    always = np.ones((1, 3, 1))
    np.testing.assert_allclose(exact.td_error_minimiser(round_trip, always, np.eye(3)),
                               exact.value_function(round_trip, always), atol=1e-10)


@several_times
@given(cases)
def test_one_hot_fixed_points_are_the_exact_values(case):
    mdp, logits = case
    pi = softmax(logits)
    pairs = np.eye(mdp.states * mdp.joint_actions)
    omega, weights = exact.td_fixed_point(mdp, pi, np.eye(mdp.states)), exact.action_value_fixed_point(mdp, pi, pairs)
    np.testing.assert_allclose(omega, exact.value_function(mdp, pi), atol=1e-8)
    np.testing.assert_allclose(weights, exact.action_value(mdp, pi).ravel(), atol=1e-8)
    for psi in (None, pairs):
        np.testing.assert_allclose(exact.reward_fixed_point(mdp, pi, psi), mdp.r.mean(axis=2).ravel(), atol=1e-10)


def test_average_setting_satisfies_poissons_equation_and_is_free_of_a_constant():
    mdp, logits = random_case(3, agents=2, states=4, actions=2, gamma=0.9)
    pi = softmax(logits)
    chain = exact.induced_chain(mdp, pi)
    h, rho = exact.td_fixed_point(mdp, pi, np.eye(4), "average"), exact.average_reward(mdp, pi)
    np.testing.assert_allclose(h, chain.reward - rho + chain.transition @ h, atol=1e-12)
    assert h.sum() == pytest.approx(0, abs=1e-12)
    powers = np.linalg.matrix_power(chain.transition, 1000)
    np.testing.assert_allclose(powers @ chain.reward, rho, atol=1e-12)


def test_redundant_features_and_unvisited_states_take_the_least_norm():
    mdp, logits = random_case(5, agents=1, states=3, actions=2, gamma=0.9)
    pi = softmax(logits)
    once, twice = np.eye(3), np.hstack([np.eye(3), np.eye(3)])
    omega = exact.td_fixed_point(mdp, pi, once)
    np.testing.assert_allclose(exact.td_fixed_point(mdp, pi, twice), np.tile(omega / 2, 2), atol=1e-11)
    P = np.array(mdp.P)
    P[..., 0] = 0
    P /= P.sum(axis=2, keepdims=True)
    left = exact.FiniteMDP(P, mdp.r, mdp.xi, 0.9)
    expected = exact.value_function(left, pi) * [0, 1, 1]
    np.testing.assert_allclose(exact.td_fixed_point(left, pi, once), expected, atol=1e-11)
    assert exact.reward_fixed_point(left, pi)[:2].tolist() == [0, 0]


def test_unknown_setting_is_refused():
    mdp, logits = random_case(0, 1, 2, 2, 0.5)
    with pytest.raises(ValueError, match="'episodic'"):
        exact.td_fixed_point(mdp, softmax(logits), np.eye(2), "episodic")


# --- what is refused ------------------------------------------------------------------------------------------

def arrays() -> dict[str, np.ndarray | float]:
    """A valid MDP of 2 states and 2 agents with 2 actions, to be broken."""
    return {"P": np.full((2, 2, 2, 2), 0.5), "r": np.zeros((2, 2, 2, 2)), "xi": np.array([0.5, 0.5]), "gamma": 0.9}


NAN_REWARD = np.zeros((2, 2, 2, 2))
NAN_REWARD[1, 0, 1, 0] = np.nan


@pytest.mark.parametrize(("name", "value", "problem"), [
    ("P", np.full((2, 2, 2, 3), 1 / 3), "has the wrong shape"),
    ("P", np.full((2, 2), 0.5), "has the wrong shape"),
    ("P", np.zeros((0, 2, 2, 0)), "has the wrong shape"),
    ("P", np.full((2, 2, 2, 2), 0.4), "does not sum to 1 .found 0.8"),
    ("P", np.broadcast_to([1.5, -0.5], (2, 2, 2, 2)), "has a negative probability .found -0.5"),
    ("P", [["a"]], "is not an array of real numbers"),
    ("r", np.zeros((2, 2, 3, 2)), "has a shape that does not fit P"),
    ("r", np.zeros((2, 2, 2, 0)), "has a shape that does not fit P"),
    ("r", NAN_REWARD, r"is not finite at \[1, 0, 1, 0\]"),
    ("xi", np.ones(3) / 3, "has the wrong shape"),
    ("xi", [0.5, 0.6], "does not sum to 1"),
    ("gamma", 1.0, "is out of range"),
    ("gamma", -0.1, "is out of range"),
    ("gamma", np.inf, "is not finite"),
    ("gamma", [0.9, 0.9], "is not one number"),
])
def test_a_broken_array_is_named(name, value, problem):
    with pytest.raises(InputError, match=f"^{name}: {problem}") as caught:
        exact.FiniteMDP(**{**arrays(), name: value})
    assert caught.value.key == name


@pytest.mark.parametrize(("shape", "agents"), [((2, 2, 2), 2), ((2, 3), 2), ((5,), 2)])
def test_action_axes_must_fit_the_agents(shape, agents):
    with pytest.raises(InputError, match=r"^P: .*fit the"):
        exact.FiniteMDP(np.full((2, *shape, 2), 0.5), np.zeros((2, *shape, agents)), [0.5, 0.5], 0.9)
