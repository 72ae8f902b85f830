"""Games on which sequential PPO is tested; all rewards are in [0, 1]."""

from __future__ import annotations

import numpy as np

from netac.envs.matrix import Settings, payoff_table
from netac.exact import FiniteMDP
from netac.utils.options import checked

RATIO_R = np.array([[1.0, 0.5], [-0.5, 0.0]])
RATIO_S = np.array([[1.0, 1.0], [0.1, 0.1]])
RATIO_GAMMA = 0.9                                       # the largest probability of going on


def lock(steps: int, agents: int, actions: int, gamma: float) -> FiniteMDP:
    """States 0, ..., `steps`: action 0 of all agents leads to the next, else back to 0; the last pays 1 for ever."""
    states, joint = steps + 1, actions**agents
    P = np.zeros((states, joint, states))
    P[:steps, 1:, 0] = 1.0
    P[np.arange(steps), 0, np.arange(steps) + 1] = 1.0
    P[steps, :, steps] = 1.0
    r = np.zeros((states, joint, agents))
    r[steps] = 1.0
    return FiniteMDP(P, r, np.eye(states)[0], gamma)


def ratio_game() -> FiniteMDP:
    """Von Neumann's ratio game, V(x, y) = x'Ry / x'Sy: a round pays R[a, b] and is the last with probability S[a, b].

    With gamma = max(1 - S) a round is followed by another with probability (1 - S) / gamma, which is the same game
    discounted.  Rewards (R + 0.5) / 1.5 are in [0, 1]; the absorbing state after the last round pays 0, which becomes
    (0 + 0.5) / 1.5, for ever: that adds a constant to the return of every policy.  `ratio_value` gives V from J.
    """
    on = (1.0 - RATIO_S) / RATIO_GAMMA
    P = np.zeros((2, 2, 2, 2))
    P[0, ..., 0], P[0, ..., 1], P[1, ..., 1] = on, 1.0 - on, 1.0
    r = np.stack([(RATIO_R + 0.5) / 1.5, np.full((2, 2), 0.5 / 1.5)])
    return FiniteMDP(P, np.repeat(r[..., None], 2, axis=-1), np.array([1.0, 0.0]), RATIO_GAMMA)


def ratio_value(J: float) -> float:
    """V of the ratio game, from J of `ratio_game`."""
    return (1.5 * J - 0.5) / (1.0 - RATIO_GAMMA)


def matrix_game(name: str) -> FiniteMDP:
    """"climbing" or "penalty" of `netac.envs.matrix`, its rewards from the least to the largest brought to [0, 1]."""
    payoff = payoff_table(checked(Settings, {"game": name}), 2)
    scaled = (payoff - payoff.min()) / np.ptp(payoff)
    return FiniteMDP(np.ones((1, payoff.size, 1)), np.repeat(scaled.reshape(1, -1, 1), 2, axis=-1), np.ones(1), 0.0)


def linear_game(rng: np.random.Generator, agents: int, states: int, actions: int, features: int,
                gamma: float = 0.9) -> tuple[FiniteMDP, np.ndarray]:
    """A random game in which every policy's Q is linear in phi, and phi (S, J, d).

    phi(s, a) ~ Dirichlet(0.2, ..., 0.2), P(s'|s, a) = phi'mu(s') with mu_i ~ Dirichlet(0.3, ..., 0.3), r = phi'theta
    with theta_i ~ U[0, 1]: Q = phi'w with 0 <= w_i <= 1 / (1 - gamma).
    """
    phi = rng.dirichlet(np.full(features, 0.2), (states, actions**agents))
    P = phi @ rng.dirichlet(np.full(states, 0.3), features)
    r = np.repeat((phi @ rng.random(features))[..., None], agents, axis=-1)
    return FiniteMDP(P / P.sum(axis=-1, keepdims=True), np.clip(r, 0.0, 1.0), np.full(states, 1.0 / states), gamma), phi
