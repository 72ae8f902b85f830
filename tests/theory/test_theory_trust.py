"""The trust-region experiment's parts against brute force, and that a wrong constant or sign makes a claim fail."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac import theory
from netac.algorithms.policy_gradient.surrogates import clipped
from netac.envs.finite_mdp import random_mdp
from netac.exact import FiniteMDP, limits, transition
from netac.theory import Lab, _trust_exact, _trust_trained
from netac.theory._trust_bounds import (
    chi_square_bound,
    chi_squares,
    improvement,
    joint_tv,
    local_flow,
    local_transition,
    missed,
    missed_bound,
    one_agent_shift,
    tv,
    tv_by_gains,
    visits,
)
from netac.theory._trust_games import agreement, majority, random_dec_mdp, random_policies, rare, slow_belief, team_game
from netac.theory._trust_updates import (
    Climb,
    Training,
    Trajectories,
    climb,
    collect,
    probabilities,
    train,
    weighted_scores,
)
from netac.utils.errors import InputError
from netac.utils.pictures import save_figure

QUICK = Lab(quick=True)


@pytest.fixture
def pair():
    """A random Dec-MDP of two agents, 2 local states and 3 actions, with old and new policies (N, S, A)."""
    rng = np.random.default_rng(5)
    game = random_dec_mdp(2, 2, 3, 0.7, rng)
    return game, *(game.lift(random_policies(game, rng)) for _ in range(2))


def joint_chance(pi, state, actions) -> float:
    return math.prod(pi[k, state, a] for k, a in enumerate(actions))


def values(mdp, pi, sweeps=400) -> np.ndarray:
    """V, by iteration."""
    V = np.zeros(mdp.states)
    for _ in range(sweeps):
        V = np.array([sum(joint_chance(pi, s, a) * (mdp.r[s, j].mean() + mdp.gamma * mdp.P[s, j] @ V)
                          for j, a in enumerate(product(range(mdp.actions), repeat=mdp.agents)))
                      for s in range(mdp.states)])
    return V


# --- games ---

def test_agents_act_on_their_local_states_alone():
    game = random_dec_mdp(3, 2, 2, 0.9, np.random.default_rng(0))
    policies = random_policies(game, np.random.default_rng(1))
    lifted = game.lift(policies)
    for state, local in enumerate(product(range(2), repeat=3)):
        for k in range(3):
            assert (lifted[k, state] == policies[k, local[k]]).all()


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("step", [0.1, 0.5])
def test_in_the_agreement_game_the_return_falls_though_no_agent_has_an_advantage(gamma, step):
    one = improvement(*agreement(gamma, step))
    assert one.gain == pytest.approx(-2.0 * gamma * step**2, abs=1e-14)
    assert one.largest[1] == pytest.approx(0.0, abs=1e-14) and one.local == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("agents", [1, 3, 5])
def test_the_majority_game_by_hand(agents):
    gamma, step, half = 0.3, 0.05, agents // 2
    one = improvement(*majority(agents, gamma, step))
    more = sum(math.comb(agents, k) * (0.5 + step)**k * (0.5 - step)**(agents - k) for k in range(half + 1, agents + 1))
    alpha = more - 0.5
    assert one.alpha == pytest.approx(alpha)
    assert one.gain == pytest.approx(-4.0 * gamma**2 * alpha * agents * step)
    assert one.sequential == pytest.approx(0.0, abs=1e-15) and one.largest[2] == pytest.approx(gamma)
    assert one.theorem_2_sequential == pytest.approx(agents * step * (1.0 - gamma) / alpha)


def test_the_team_game_by_hand():
    game = team_game(3, 2, 0.9, np.random.default_rng(2))
    reward, P = game.mdp.team_reward, game.mdp.P
    assert reward.min() == 0.0 and reward.max() == pytest.approx(1.0)
    np.testing.assert_allclose(P[:, 1], P[:, 0] * 2 / 3 + P[:, 7] / 3)         # one of three plays 1
    # a linear term for every agent and a product term for every pair: no interaction of all three
    signs = np.array([math.prod(2 * a - 1 for a in joint) for joint in product(range(2), repeat=3)])
    np.testing.assert_allclose(reward @ signs, 0.0, atol=1e-12)


# --- transitions of local states ---

@pytest.mark.parametrize("agent", [0, 1])
def test_local_transitions_by_brute_force(pair, agent):
    game, old, _ = pair
    mdp, weights, wanted = game.mdp, visits(game, old), np.zeros((2, 2))
    states = list(product(range(2), repeat=2))
    for (s, state), (t, after) in product(enumerate(states), repeat=2):
        for j, actions in enumerate(product(range(3), repeat=2)):
            wanted[state[agent], after[agent]] += weights[s] * joint_chance(old, s, actions) * mdp.P[s, j, t]
    chain = transition(mdp, old)
    np.testing.assert_allclose(local_flow(game, agent, chain, weights), wanted, atol=1e-15)
    np.testing.assert_allclose(local_transition(game, agent, chain, weights),
                               wanted / wanted.sum(axis=1, keepdims=True))


def test_local_states_that_never_are_have_no_transition():
    game, old, _ = slow_belief()
    chain = local_transition(game, 1, transition(game.mdp, game.lift(old)), visits(game, game.lift(old)))
    np.testing.assert_array_equal(chain, [[1, 0], [0, 0]])


def test_one_agents_shift_is_the_difference_of_two_transitions(pair):
    game, old, new = pair
    for j in range(2):
        before, after = (transition(game.mdp, np.concatenate([new[:k], old[k:]])) for k in (j, j + 1))
        np.testing.assert_allclose(one_agent_shift(game, j, old, new), after - before, atol=1e-15)


# --- divergences ---

@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 10**6))
@settings(max_examples=30)
def test_total_variation_by_brute_force(agents, actions, seed):
    old, new = np.random.default_rng(seed).dirichlet(np.ones(actions), (2, agents, 1))
    joints = list(product(range(actions), repeat=agents))
    differences = [joint_chance(new, 0, a) - joint_chance(old, 0, a) for a in joints]
    assert joint_tv(old, new)[0] == pytest.approx(sum(abs(x) for x in differences) / 2.0, abs=1e-15)
    assert joint_tv(old, new)[0] == pytest.approx(sum(x for x in differences if x > 0), abs=1e-15)
    np.testing.assert_allclose(tv(old, new), tv_by_gains(old, new), atol=1e-15)
    assert joint_tv(old, new)[0] <= tv(old, new).sum() + 1e-15


@pytest.mark.parametrize("agents", [1, 2, 5, 10])
@pytest.mark.parametrize("epsilon", [0.1, 1.0])
def test_agents_alike_are_two_binomial_distributions(agents, epsilon):
    half = np.full((agents, 1, 2), 0.5)
    assert _trust_exact.alike_tv(agents, epsilon) == pytest.approx(
        joint_tv(half, half + epsilon * np.array([-0.5, 0.5]))[0])


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 10**6))
@settings(max_examples=30)
def test_what_own_changes_miss_by_brute_force(agents, actions, seed):
    old, new = np.random.default_rng(seed).dirichlet(np.ones(actions), (2, agents, 1))
    total, square = 0.0, 0.0
    for a in product(range(actions), repeat=agents):
        x = np.array([new[k, 0, b] / old[k, 0, b] - 1.0 for k, b in enumerate(a)])
        left = np.prod(1.0 + x) - 1.0 - x.sum()
        total, square = total + joint_chance(old, 0, a) * abs(left), square + joint_chance(old, 0, a) * left**2
    bound = missed_bound(chi_squares(old, new))[0]
    assert missed(old, new)[0] == pytest.approx(total, abs=1e-12)
    assert bound == pytest.approx(np.sqrt(square), rel=1e-9, abs=1e-12)
    assert total <= bound * (1.0 + 1e-9) + 1e-12


@pytest.mark.parametrize("agents", [1, 2, 5, 10])
def test_what_agents_alike_miss(agents):
    half = np.full((agents, 1, 2), 0.5)
    assert _trust_exact.alike_missed(agents, 0.3) == pytest.approx(
        missed(half, half + 0.3 * np.array([-0.5, 0.5]))[0], abs=1e-14)


def test_the_further_penalty_of_64_agents():
    """The numbers that the pages quote: in max |A|, by total variations, by ratios, and exactly."""
    first, *_, last = _trust_exact.crossing_rows((2, 64), 0.4)
    assert [first[f"alpha / sqrt(N), {kind}"] for kind in ("by TVs", "by ratios", "exact")] == pytest.approx([0.08] * 3)
    assert [last[f"alpha / sqrt(N), {kind}"] for kind in ("by TVs", "by ratios", "exact")] == pytest.approx(
        [5.04, 0.115224, 0.076994], rel=1e-5)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9, 0.99])
def test_in_the_rare_game_hardly_anything_is_lost_on_the_way_to_theorem_1(gamma):
    """By hand: the loss is 4 alpha^2 gamma / (1 - gamma + gamma m), m the odds to leave, and max |A| = 1 + alpha."""
    one = improvement(*rare(gamma))
    alpha = 1e-3 * (1.0 - gamma)
    leaves = alpha * 1.002
    assert one.alpha == pytest.approx(alpha)
    assert one.joint - one.gain == pytest.approx(4.0 * alpha**2 * gamma / (1.0 - gamma + gamma * leaves), rel=1e-5)
    assert one.theorem_1 == pytest.approx((1.0 - gamma) / (1.0 - gamma + gamma * leaves) / (1.0 + alpha), rel=1e-5)


def test_random_ratios_are_within_their_range_and_reach_an_end():
    for epsilon, old, new in _trust_exact.within_range(QUICK):
        np.testing.assert_allclose(new.sum(axis=-1), 1.0)
        np.testing.assert_allclose(np.abs(new / old - 1.0).max(axis=-1), epsilon)
        assert joint_tv(old, new).max() <= chi_square_bound(epsilon, len(old)) + 1e-12


# --- improvement ---

def test_improvement_by_brute_force(pair):
    game, old, new = pair
    mdp, d, joints = game.mdp, visits(game, old), list(product(range(3), repeat=2))
    V, states = values(mdp, old), list(product(range(2), repeat=2))
    A = np.array([[mdp.r[s, j].mean() + 0.7 * mdp.P[s, j] @ V - V[s] for j in range(9)] for s in range(4)])
    one = improvement(game, old, new)
    assert one.gain == pytest.approx(0.3 * mdp.xi @ (values(mdp, new) - V))
    assert one.joint == pytest.approx(sum(d[s] * joint_chance(new, s, a) * A[s, j]
                                          for s in range(4) for j, a in enumerate(joints)))
    for first, value, largest in ((old, one.local, one.largest[1]), (new, one.sequential, one.largest[2])):
        total, most = 0.0, 0.0
        for k in range(2):
            others = old if k == 0 else first                      # agent 0 has nobody before it
            own = np.zeros((2, 3))
            mass = np.zeros((2, 1))
            for s, local in enumerate(states):
                mass[local[k]] += d[s]
                baseline = sum(old[k, s, a[k]] * others[1 - k, s, a[1 - k]] * A[s, j] for j, a in enumerate(joints))
                for j, a in enumerate(joints):
                    own[local[k], a[k]] += d[s] * others[1 - k, s, a[1 - k]] * A[s, j]
                own[local[k]] -= d[s] * baseline
            own /= mass
            most = max(most, np.abs(own).max())
            total += sum(d[s] * new[k, s, a] * own[local[k], a] for s, local in enumerate(states) for a in range(3))
        assert value == pytest.approx(total) and largest == pytest.approx(most)
    pairs = one.alphas[0] * one.alphas[1]
    assert one.penalty(2.0) == pytest.approx(4 * 2.0 * 0.7 * one.alpha**2 / 0.3)
    assert one.crossing == pytest.approx(4 * np.abs(A).max() * pairs)
    assert one.lowest == pytest.approx(one.local - one.penalty(one.largest[0]) - one.crossing)
    assert one.missed == pytest.approx(np.sqrt(np.prod(chi_squares(old, new), axis=0)).max())
    assert one.crossing_by_ratios == pytest.approx(np.abs(A).max() * one.missed)


def test_no_change_loses_nothing(pair):
    game, old, _ = pair
    one = improvement(game, old, old)
    assert one.theorem_1 == one.corrected == one.corrected_by_ratios == one.theorem_2_sequential == one.alpha == 0.0


# --- why Theorem 2 needs both corrections ---

@pytest.mark.parametrize("mutation", ["without the further penalty", "epsilon of one agent's advantages"])
def test_theorem_2_needs_both_corrections(mutation):
    """Each of them put back alone, one counter-example is outside the bound."""
    agree, most = improvement(*agreement(0.01, 0.1)), improvement(*majority(11, 0.01, 0.01))
    if mutation.startswith("without"):
        assert agree.local - agree.penalty(agree.largest[0]) > agree.gain
    else:
        assert most.sequential - most.penalty(most.largest[2]) > most.gain
    assert all(one.lowest <= one.gain for one in (agree, most))


# --- clipped updates ---

def plain_update(logits, batch, epsilon, epochs, step, joint):
    """Equations 3 and 6 with Adam, in loops; an agent all of whose samples are clipped rests."""
    logits, agents, old = logits.copy(), len(logits), probabilities(logits)
    m, v, t = np.zeros_like(logits), np.zeros_like(logits), [0] * agents
    for _ in range(epochs):
        pi, gradient = probabilities(logits), np.zeros_like(logits)
        for e, s in enumerate(batch.states):
            each = [pi[k, s, batch.actions[k, e]] / old[k, s, batch.actions[k, e]] for k in range(agents)]
            for k in range(agents):
                ratio, A = math.prod(each) if joint else each[k], batch.A[e]
                if ratio * A <= min(max(ratio, 1 - epsilon), 1 + epsilon) * A:
                    gradient[k, s] += (ratio * A * (np.eye(logits.shape[2])[batch.actions[k, e]] - pi[k, s])
                                       / len(batch.A))
        for k in range(agents):
            if gradient[k].any():
                t[k] += 1
                m[k], v[k] = 0.9 * m[k] + 0.1 * gradient[k], 0.999 * v[k] + 0.001 * gradient[k]**2
                logits[k] += step * (m[k] / (1 - 0.9**t[k])) / (np.sqrt(v[k] / (1 - 0.999**t[k])) + 1e-8)
    return logits


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("agents", [1, 2, 3])
def test_updates_follow_a_plain_transcription(agents, joint):
    rng = np.random.default_rng(agents)
    game = team_game(agents, 2, 0.8, rng)
    logits = rng.standard_normal((agents, 2, 2))
    batch = collect(game, probabilities(logits), 40, rng)
    training = Training(agents, (0,), 0.1, joint=joint, epochs=12, step=0.05)
    np.testing.assert_allclose(list(climb(logits, batch, training))[-1],
                               plain_update(logits, batch, 0.1, 12, 0.05, joint), atol=1e-9)


def test_one_agents_ratio_is_the_joint_one():
    alone, joint = (train(Training(1, (3,), 0.1, joint=joint, iterations=3)) for joint in (False, True))
    for a, b in zip(alone, joint, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weighted_scores_are_the_gradient():
    rng = np.random.default_rng(0)
    logits, weights = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 9))
    batch = Trajectories(rng.integers(3, size=9), rng.integers(4, size=(2, 9)), np.zeros(9))

    def objective(x):
        return sum(weights[k, e] * np.log(probabilities(x)[k, batch.states[e], batch.actions[k, e]])
                   for k in range(2) for e in range(9))
    for at in np.ndindex(2, 3, 4):
        nudge = np.zeros_like(logits)
        nudge[at] = 1e-6
        slope = (objective(logits + nudge) - objective(logits - nudge)) / 2e-6
        assert weighted_scores(logits, batch, weights)[at] == pytest.approx(slope, abs=1e-7)


def test_samples_are_of_the_visitation_distribution_and_the_policies_and_advantages_average_out():
    rng = np.random.default_rng(1)
    game = team_game(2, 3, 0.9, rng)
    pi = rng.dirichlet(np.ones(2), (2, 3))
    batch = collect(game, pi, 200_000, rng)
    d, many = visits(game, pi), len(batch.A)
    np.testing.assert_allclose(np.bincount(batch.states) / many, d, atol=5e-3)
    for k in range(2):
        played = [batch.actions[k, batch.states == s].mean() for s in range(3)]
        np.testing.assert_allclose(played, pi[k, :, 1], atol=1e-2)
    assert abs(batch.A.mean()) < 5 * batch.A.std() / np.sqrt(many)


def test_looks_are_at_epochs():
    at, last = train(Training(2, (0,), 0.2, epochs=8, looks=(3, 8))), train(Training(2, (0,), 0.2, epochs=8))
    three = train(Training(2, (0,), 0.2, epochs=3))
    for seen, end, early in zip(at, last, three, strict=True):
        assert np.array_equal(seen[0], early[0]) and np.array_equal(seen[1], end[0]) and len(end) == 1


def test_without_clipping_all_samples_count():
    surrogate = clipped(np.array([[3.0, -3.0]]), np.array([1.0, -1.0]), epsilon=_trust_trained.CLIPS[-1])
    assert (surrogate.weights != 0).all()


# --- rows of trainings ---

def outcome(score, **others) -> Climb:
    """A `Climb` of five looks, or as many as there are scores."""
    return Climb(np.array(score), *(np.full(len(score), others.get(name, 0.0)) for name in Climb._fields[1:]))


def test_rows_against_each_other_are_paired_by_seed():
    found = [(outcome([0.1, 0.3], joint_tv=0.5), outcome([0.2, 0.8], joint_tv=0.1)),
             (outcome([0.5, 0.9], joint_tv=0.7), outcome([0.8, 1.2], joint_tv=0.3))]
    row = _trust_trained._versus_row(4, 0.3, found)
    assert [row["gain"], row["gain low"], row["gain high"]] == pytest.approx([0.3, 0.3, 0.3])       # of every seed
    assert row["independent"] == pytest.approx(0.45) and row["joint, final"] == pytest.approx(1.0)
    assert row["independent TV"] == pytest.approx(0.6) and row["joint TV, first"] == pytest.approx(0.2)


def test_rows_of_ratios_and_growth_are_of_their_epochs():
    looks = [outcome(range(5), lowest=0.9 - k, highest=1.1 + k)._replace(joint_tv=np.arange(5) * 0.1,
                                                                         tvs=np.arange(5.0)[:, None])
             for k in (0.0, 0.2)]
    row = _trust_trained._ratio_row(0.1, 20, looks)
    assert row["lowest"] == pytest.approx(0.7) and row["mean highest"] == pytest.approx(1.2)
    assert row["highest"] == pytest.approx(1.3) and row["joint TV"] == pytest.approx(0.2)
    row = _trust_trained._growth_row(2, {"fixed": looks, "alpha / N": looks})
    assert row["fixed"] == row["alpha / N"] == pytest.approx(0.4)
    assert row["sum, fixed"] == 4.0 and row["fixed, 20 epochs"] == pytest.approx(0.2)


# --- a game of the user's ---

@pytest.mark.parametrize("agents", [1, 2, 3])
def test_a_users_game_gets_the_exact_part(agents, tmp_path):
    found = theory.run("trust-region", quick=True, game=random_mdp(7, agents, 3, 2, "zhang"))
    assert found.passes and [table.name for table in found.tables] == ["updates"]
    assert not any(claim.refuted and "game" in claim.measure for claim in found.claims)
    save_figure(found.draw, tmp_path / "picture.png")


def test_a_game_without_consequences_needs_no_bound(tmp_path):
    game = FiniteMDP(np.ones((1, 4, 1)), np.ones((1, 4, 2)), np.ones(1), 0.5)
    assert theory.run("trust-region", quick=True, game=game, out=tmp_path / "found").passes


def test_a_game_without_choice_is_refused():
    with pytest.raises(InputError, match="no choice"):
        theory.run("trust-region", quick=True, game=random_mdp(0, 2, 3, 1, "zhang"))


def test_a_game_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(limits, "LARGEST", 35)
    with pytest.raises(InputError, match="too large"):
        theory.run("trust-region", quick=True, game=random_mdp(0, 2, 3, 2, "zhang"))
