"""Where critics of local states settle, against samples, closed forms and netac's other fixed points."""

from __future__ import annotations

import numpy as np
import pytest

from netac.exact import induced_chain, stationary_distribution, td_fixed_point
from netac.theory import _trust_critics
from netac.theory._trust_critics import critic, gae, remembering, td_lambda
from netac.theory._trust_games import aliased, observed, random_dec_mdp, random_policies, through_noise


def game_of(agents=2, local_states=3, actions=2, gamma=0.8, seed=1):
    rng = np.random.default_rng(seed)
    game = random_dec_mdp(agents, local_states, actions, gamma, rng)
    return game, random_policies(game, rng)


def test_the_values_that_the_review_found():
    found = critic(*aliased(), 0, 0.0)
    assert found.v == pytest.approx([-0.161315, 0.016238, -0.164681], abs=1e-6)
    assert found.meant == pytest.approx([-0.151122, 0.017815, -0.172566], abs=1e-6)


@pytest.mark.parametrize("agent", [0, 1])
def test_td_0_is_netacs_fixed_point(agent):
    game, pi = game_of()
    lifted = game.lift(pi)
    found = td_lambda(induced_chain(game.mdp, lifted), game.local[agent], 0.8, 0.0)
    np.testing.assert_allclose(found, td_fixed_point(game.mdp, lifted, np.eye(3)[game.local[agent]]), atol=1e-12)


@pytest.mark.parametrize("lambda_", [0.0, 0.7, 1.0])
def test_td_lambda_stands_still_where_the_sum_of_traces_says(lambda_):
    """sum_t z_t delta_t has mean 0 in the long run, z_t = sum_n (gamma lambda)^n phi(s_{t-n}): backwards, in loops."""
    game, pi = game_of()
    chain, labels = induced_chain(game.mdp, game.lift(pi)), game.local[1]
    v = td_lambda(chain, labels, 0.8, lambda_)[labels]
    mu = stationary_distribution(chain.transition)
    delta = chain.reward + 0.8 * chain.transition @ v - v
    total, ahead = np.zeros(3), np.eye(9)                                   # ahead: P^n
    for n in range(200):
        for label in range(3):
            total[label] += (0.8 * lambda_)**n * (mu * (labels == label)) @ ahead @ delta
        ahead = ahead @ chain.transition
    np.testing.assert_allclose(total, 0.0, atol=1e-12)


def test_one_agents_advantages_by_brute_force():
    """GAE of given values, summed step by step."""
    game, pi = game_of(agents=1, local_states=3, actions=3)
    chain, v = induced_chain(game.mdp, game.lift(pi)), np.array([0.3, -0.2, 0.5])
    delta = chain.reward + 0.8 * chain.transition @ v - v
    for s in range(3):
        for a in range(3):
            at, wanted = game.mdp.P[s, a], game.mdp.team_reward[s, a] + 0.8 * game.mdp.P[s, a] @ v - v[s]
            for n in range(1, 150):
                wanted, at = wanted + (0.8 * 0.6)**n * at @ delta, at @ chain.transition
            assert gae(game.mdp, chain, v, 0.6)[s, a] == pytest.approx(wanted)


@pytest.mark.parametrize("lambda_", [0.0, 0.5, 0.95, 1.0])
def test_the_game_seen_through_noise_by_hand(lambda_):
    """s^2 is 1 in 0.7 of the time and forgets by 0.8 a step; s^1 is 0.3 + 0.4 s^2 and noise.  Covariances by lag:"""
    found, gamma, stays = critic(*through_noise(), 0, lambda_), 0.9, 0.8
    trace = gamma * lambda_ * stays                     # what of the slow state is left in a trace, a step later
    with_good, with_seen, own = 0.4 * 0.21, 0.4**2 * 0.21, 0.58 * 0.42      # of s^1 now; the last at lag 0
    slope = with_good / (1.0 - trace) / (own + with_seen * (trace - gamma * stays) / (1.0 - trace))
    assert np.diff(found.v)[0] == pytest.approx(slope)
    assert found.central[1, 1] == pytest.approx(0.5 * (gamma * 0.04 / (1.0 - gamma * stays) - 0.05))


def test_the_slow_agent_needs_no_lambda():
    """Agent 2 sees the slow state, which is all that matters."""
    for lambda_ in (0.0, 1.0):
        assert critic(*through_noise(), 1, lambda_).error < 1e-12


@pytest.mark.parametrize("lambda_", [0.0, 0.5, 1.0])
def test_agents_that_see_all_are_right(lambda_):
    game, pi = game_of(local_states=2)
    assert critic(observed(game.mdp), game.lift(pi), 0, lambda_).error < 1e-12


def test_a_memory_of_one_is_none_and_samples_agree_with_two():
    game, pi = through_noise()
    chain = induced_chain(game.mdp, game.lift(pi))
    one, mu = critic(game, pi, 0, 0.0), stationary_distribution(chain.transition)
    mass = np.bincount(game.local[0], mu)
    assert remembering(game, pi, 0, 1) == pytest.approx(np.sqrt(mass @ (one.v - one.meant)**2))
    assert remembering(game, pi, 1, 2) < 1e-12          # agent 2 has nothing to remember


def test_rows_are_of_agent_1():
    rows = {row["lambda"]: row for row in _trust_critics.noise_rows()}
    assert rows[0.0]["A of paying"] < 0.0 < rows[0.8]["A of paying"] < rows[1.0]["A of paying"]
    assert all(row["TD(0)"] != pytest.approx(row["Monte Carlo"], abs=1e-3) for row in _trust_critics.alias_rows())
