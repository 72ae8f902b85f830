"""The transcriptions themselves do what their papers say, before anything is compared with them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from oracles import sampling, transcription

from netac import exact

DATA = Path(__file__).parents[3] / "examples" / "data" / "networked_mdp_6x5.npz"


softmax = partial(scipy.special.softmax, axis=-1)


def every_fifth_complete(agents):
    return lambda t: np.full((agents, agents), 1 / agents) if t % 5 == 0 else np.eye(agents)


def random_game(states, common_reward=False, noise=0.0):
    """The same game of two agents with two actions each as netac's FiniteMDP and as the oracle's FiniteGame."""
    rng = np.random.default_rng(1)
    P = rng.dirichlet(np.ones(states), (states, 4))
    r = rng.uniform(size=(states, 4, 2))
    if common_reward:
        r[:] = r.mean(axis=2, keepdims=True)
    xi = np.full(states, 1 / states)
    return exact.FiniteMDP(P, r, xi, 0.8), sampling.FiniteGame(P, r, xi, noise=noise)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cac_finds_the_efficient_equilibrium_of_the_coordination_game(seed):
    n = 5
    final = transcription.cac(game=transcription.CoordinationGame(n), W=every_fifth_complete(n), seed=seed,
                              iterations=3000, alpha=0.05, beta=0.1, zeta=0.1, gamma=0.95)
    pi = softmax(final["theta"])
    matches = (pi.sum(axis=0) ** 2 - (pi**2).sum(axis=0)).sum() / n
    assert (pi @ (np.arange(8) - 3.5) ** 2).mean() + matches >= 12.25 + n - 1 - 0.5


def test_mdac_follows_the_published_curve_of_the_shared_mdp():
    with np.load(DATA) as file:
        data = dict(file)
    final = transcription.mdac(
        game=transcription.FiniteGame(data["P"], data["r"], data["xi"]), W=lambda t: data["W"], seed=0, iterations=25,
        alpha=10.0, beta=0.5, gamma=0.95, batch=100, critic_batch=10, critic_rounds=50, mixing_rounds=10,
        reward_rounds=5, reward_noise=0.1, sampling="double", theta0=data["theta0"])
    mdp = exact.FiniteMDP(data["P"], data["r"], data["xi"], data["gamma"])
    assert exact.objective(mdp, softmax(final["theta"].reshape(6, 5, 2))) == pytest.approx(0.5073, abs=0.004)


@pytest.mark.parametrize("kind", ["running", "restarting", "stationary", "visitation"])
def test_a_chain_visits_states_as_often_as_the_exact_distribution_says(kind):
    mdp, game = random_game(states=3)
    theta = np.random.default_rng(2).normal(size=(2, 6))
    chain = sampling.Chain(game, 7, 0, kind, mdp.gamma)
    visits = np.bincount([x.s for x in chain.samples(theta, 4000)], minlength=3) / 4000
    P = exact.transition(mdp, softmax(theta.reshape(2, 3, 2)))
    discounted = kind in ("restarting", "visitation")
    expected = exact.visitation_distribution(P, mdp.xi, 0.8) if discounted else exact.stationary_distribution(P)
    np.testing.assert_allclose(visits, expected, atol=0.03)
    if kind in ("stationary", "visitation"):
        mass = sampling.stationary(game, theta) if kind == "stationary" else sampling.visitation(game, theta, mdp.gamma)
        np.testing.assert_allclose(mass, expected, atol=1e-12)


@pytest.mark.parametrize(("critic", "setting", "samples"), [
    pytest.param(critic, setting, samples, marks=[] if samples == usual else [pytest.mark.long])
    for critic, setting, usual in [("state_value", "discounted", "markov"), ("state_value", "average", "double"),
                                   ("action_value", "discounted", "iid"), ("action_value", "average", "markov")]
    for samples in ("markov", "double", "iid")])
def test_dac_critics_near_their_fixed_points_while_policies_stand_still(critic, setting, samples):
    mdp, game = random_game(states=3)
    theta = 0.3 * np.random.default_rng(2).normal(size=(2, 6))
    pi = softmax(theta.reshape(2, 3, 2))
    critics = []
    final = transcription.dac(game=game, W=lambda t: np.full((2, 2), 0.5), seed=3, iterations=4000, alpha=0.0, beta=0.1,
                              zeta=0.05, gamma=0.8, critic=critic, setting=setting, sampling=samples, theta0=theta,
                              watch=lambda omega: critics.append(omega.mean(axis=0)))
    np.testing.assert_array_equal(final["theta"], theta)
    features = np.eye(3) if critic == "state_value" else np.eye(12)
    solve = exact.td_fixed_point if critic == "state_value" else exact.action_value_fixed_point
    expected = solve(mdp, pi, features, setting)
    got = np.mean(critics[2000:], axis=0)         # at constant steps a single iterate is off by 0.1 and more
    if setting == "average":  # known up to a constant only
        np.testing.assert_allclose(got - got.mean(), expected - expected.mean(), atol=0.1)
        assert final["mu"].mean() == pytest.approx(exact.average_reward(mdp, pi), abs=0.15)
    else:
        np.testing.assert_allclose(got, expected, atol=0.15)
    if critic == "state_value":
        np.testing.assert_allclose(final["lam"].mean(axis=0), exact.reward_fixed_point(mdp, pi), atol=0.15)


INDEPENDENT = partial(transcription.iac, alpha=0.3, beta=0.2, iterations=2500)  # for the team if rewards are common


@pytest.mark.parametrize("run", [
    INDEPENDENT,
    partial(transcription.cac, alpha=0.3, beta=0.2, zeta=0.2, iterations=2500, shared=np.zeros(4, dtype=bool)),
    partial(transcription.mdac, alpha=3.0, beta=0.3, iterations=60, batch=20, critic_rounds=3),
    partial(transcription.dnac, alpha=1.0, beta=0.3, iterations=60, batch=20, critic_rounds=3, inner_steps=3,
            inner_rounds=2, natural_step=0.2),
], ids=["iac", "cac", "mdac", "dnac"])
@pytest.mark.parametrize("samples", ["markov", "double"])
def test_training_raises_the_exact_objective(run, samples):
    mdp, game = random_game(states=2, common_reward=run is INDEPENDENT, noise=0.1)
    final = run(game=game, W=lambda t: np.full((2, 2), 0.5), seed=4, gamma=0.8, sampling=samples)
    start, best = exact.objective(mdp, np.full((2, 2, 2), 0.5)), exact.optimal_objective(mdp)
    assert exact.objective(mdp, softmax(final["theta"].reshape(2, 2, 2))) > start + 0.5 * (best - start)


def test_projections_keep_the_critics_inside_their_balls():
    _, game = random_game(states=2)
    final = transcription.cac(game=game, W=lambda t: np.eye(2), seed=5, iterations=200, alpha=0.0, beta=0.2, zeta=0.2,
                              gamma=0.8, omega_radius=0.7, lambda_radius=0.4)
    assert np.linalg.norm(final["omega"], axis=1) == pytest.approx([0.7, 0.7], abs=0.05)
    assert (np.linalg.norm(final["lam"], axis=1) <= 0.4 + 1e-12).all()


def test_draws_follow_the_inverse_distribution_function():
    at = (0, 0.249, 0.25, 0.499, 0.5, 0.999)
    assert [sampling.draw_state([0.25, 0.25, 0.5], u) for u in at] == [0, 0, 1, 1, 2, 2]
    game = transcription.CoordinationGame(1)
    assert [sampling.draw_action(game, np.zeros(8), 0, u) for u in (0, 0.124, 0.125, 0.999)] == [0, 0, 1, 7]
