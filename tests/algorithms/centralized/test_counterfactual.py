"""Baselines of the multi-agent policy gradient where all is known: all joint actions of small games, Gaussians."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.agents.distributions import Categorical, DiagonalGaussian
from netac.algorithms.centralized._counterfactual import baseline, own_draws
from netac.sampling.encoding import Encoding
from netac.utils.spaces import ActionSpace

WHICH = ("none", "counterfactual", "optimal")
several_times = settings(max_examples=40)


def moments(chances: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean (d,), and total variance, of a gradient estimate g (J, d) under the chances (J,) of joint actions."""
    mean = chances @ g
    return mean, float(chances @ ((g - mean) ** 2).sum(axis=1))


def estimates(which: str, log_pi: np.ndarray, Q: np.ndarray, agent: int) -> np.ndarray:
    """X_i grad log pi_i with respect to the agent's logits at all joint actions, in the order of `joint_actions`."""
    N, A = log_pi.shape
    X, score = [], np.eye(A) - np.exp(log_pi[agent])
    for a in joint_actions(N, A):
        q = np.array([Q[(*a[:agent], own, *a[agent + 1:])] for own in range(A)])
        X.append((Q[a] - baseline(which, Categorical(log_pi[agent][None]), q[None])) * score[a[agent]])
    return np.array([np.reshape(each, A) for each in X])


def joint_actions(N: int, A: int) -> list[tuple[int, ...]]:
    return list(itertools.product(range(A), repeat=N))


@several_times
@given(seed=st.integers(0, 10**6), N=st.sampled_from([1, 2, 3]), A=st.integers(2, 4),
       scale=st.sampled_from([0.1, 1.0, 3.0]))
def test_the_optimal_baseline_gives_the_least_variance_of_an_unbiased_gradient(seed, N, A, scale):
    rng = np.random.default_rng(seed)
    log_pi, Q = scipy.special.log_softmax(scale * rng.normal(size=(N, A)), axis=1), rng.normal(size=(A,) * N)
    chances = np.exp([sum(log_pi[i, a] for i, a in enumerate(joint)) for joint in joint_actions(N, A)])
    for agent in range(N):
        means, variances = zip(*(moments(chances, estimates(which, log_pi, Q, agent)) for which in WHICH), strict=True)
        np.testing.assert_allclose(means, [means[0]] * 3, atol=1e-12)
        none, counterfactual, optimal = variances
        assert optimal <= min(none, counterfactual) + 1e-12


def test_how_much_the_baselines_take_from_the_variance():
    """Two agents earn 1 if both pick action 0, and get 10 whatever they do; agent 0 picks it with probability 0.9."""
    log_pi, Q = np.log([[0.9, 0.05, 0.05], [0.5, 0.25, 0.25]]), np.full((3, 3), 10.0)
    Q[0, 0] += 1.0
    chances = np.outer(*np.exp(log_pi)).ravel()
    none, counterfactual, optimal = (moments(chances, estimates(which, log_pi, Q, 0))[1] for which in WHICH)
    assert none > 100 * counterfactual and counterfactual > 2 * optimal


def test_of_a_gaussian_policy_baselines_from_its_own_draws_leave_the_gradient_and_take_variance():
    log_std, mean = np.array([-0.3, 0.4]), np.array([0.2, -0.1])
    taken, others = (own_draws(0, k, 0, ActionSpace(low=(-1.0,) * 2, high=(1.0,) * 2), 20_000, 16) for k in (0, 1))
    assert others.shape == (20_000, 16, 2) and (others[:, :8] == -others[:, 8:]).all()

    def value(z):
        return 5.0 - np.abs(mean + np.exp(log_std) * z) @ [1.0, 0.5]

    z = taken[:, 0]
    scores, found = np.concatenate([z / np.exp(log_std), z**2 - 1.0], axis=1), {}
    for which in WHICH:
        X = value(z) - baseline(which, DiagonalGaussian(np.broadcast_to(mean, z.shape), log_std), value(others), others)
        g = X[:, None] * scores
        found[which] = g.mean(axis=0), g.var(axis=0).sum() / len(z)
    none, counterfactual, optimal = (found[which][1] for which in WHICH)
    assert none > counterfactual > optimal
    for each, variance in found.values():
        assert ((each - found["optimal"][0]) ** 2).sum() < 9 * (variance + optimal)


@pytest.mark.parametrize("which", WHICH)
def test_a_baseline_of_one_own_action_is_its_value(which):
    one = np.array([[3.0], [4.0]])
    expected = 0.0 if which == "none" else one[:, 0]
    np.testing.assert_array_equal(baseline(which, Categorical(np.zeros((2, 1))), one), expected)


def test_joint_actions_with_another_vector_or_action_of_one_agent():
    spaces = (ActionSpace(2), ActionSpace(0, (-1.0, -1.0), (1.0, float("inf"))), ActionSpace(3))
    encoding, own = Encoding(spaces), np.array([[[0.5, 7.0], [-3.0, 0.0]]])
    encoded = np.arange(7, dtype=np.float32)[None]
    np.testing.assert_array_equal(encoding.alternatives(encoded, 1, own),
                                  [[[0, 1, 0.5, 7, 4, 5, 6], [0, 1, -1, 0, 4, 5, 6]]])
    np.testing.assert_array_equal(encoding.alternatives(encoded, 2), [np.concatenate(
        [np.repeat(encoded[:, :4], 3, axis=0), np.eye(3)], axis=1)])
