"""CAC with coarse features: its critics' errors at their fixed points, its mean direction, and where that leads.

With V = phi'omega* (the fixed point of TD(0)) and R = psi'lambda* (least squares), both weighted by the stationary
distribution mu, and errors e_V = phi'omega* - V_pi, e_R = psi'lambda* - r, lines 7 to 9 of Algorithm 1 step on average
along E[(R(s, a) + gamma V(s') - V(s)) grad log pi(a|s)], s ~ mu, or s ~ d with double sampling.  With d this is

    grad J + E[(e_R(s, a) + gamma e_V(s')) grad log pi(a|s)]

as a function of s alone has no part in it.  Let X = e_R(s, a) + gamma E e_V(s').  Given s the agents' scores are
uncorrelated, with covariances diag(pi_i) - pi_i pi_i' whose eigenvalues are at most lambda <= 1/2, so that by Bessel's
inequality the squared bias is at most lambda max_s d(s) E_d[X^2], for any number of agents: the O(eps_app) of Theorem 3
with a constant.  The paper defines eps_app in an appendix of its technical report that netac does not have; here it is
|e_V|_mu^2 + |e_R|_mu^2.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from netac.exact import (
    FiniteMDP,
    induced_chain,
    objective,
    reward_fixed_point,
    stationary_distribution,
    td_fixed_point,
    value_function,
    visitation_distribution,
)
from netac.exact.values import agent_marginals
from netac.theory._walk import policies, save_game, walk

ACTOR, CRITIC = 0.05, 0.1           # step sizes of the runs
STEP = 20.0                         # of the mean field; so much is STEP / ACTOR iterations of a run


class CriticFeatures(NamedTuple):
    """Names, and features of states phi (S, K) and of states and joint actions psi (S, J, L).

    Where `reward` is "exact", psi is one-hot.
    """

    value: str
    reward: str
    phi: np.ndarray
    psi: np.ndarray


class CriticErrors(NamedTuple):
    """What coarse features do at one policy."""

    value: float
    """|e_V|_mu^2."""
    reward: float
    """|e_R|_mu^2."""
    direction: np.ndarray
    """(N, S, A) CAC's mean direction with double sampling, in logits."""
    bias: np.ndarray
    """(N, S, A) E_d[(e_R + gamma e_V(s')) score], by the errors."""
    bound: float
    """On the squared bias: lambda max_s d(s) E_d[X^2]."""


def aggregated(states: int, groups: int) -> np.ndarray:
    """(S, K) one-hot: neighbouring states share a feature."""
    return np.eye(groups)[np.arange(states) * groups // states]


def reward_features(kind: str, states: int, agents: int, actions: int) -> np.ndarray:
    """(S, J, L) one-hot features: "exact" of (s, a), "own actions" of every (s, a_i), "no state" of a, "state" of s."""
    joint = actions**agents
    if kind == "exact":
        return np.eye(states * joint).reshape(states, joint, -1)
    if kind == "no state":
        return np.tile(np.eye(joint), (states, 1, 1))
    if kind == "state":
        return np.repeat(np.eye(states)[:, None], joint, axis=1)
    own = np.eye(actions)[np.array(np.unravel_index(np.arange(joint), (actions,) * agents))]           # (N, J, A)
    rows = np.moveaxis(own, 0, 1).reshape(joint, -1)
    return np.einsum("st,jl->sjtl", np.eye(states), rows).reshape(states, joint, -1)


def mean_direction(mdp: FiniteMDP, pi: np.ndarray, features: CriticFeatures) -> np.ndarray:
    """(N, S, A) CAC's mean step with double sampling and critics at their fixed points, in logits."""
    chain = induced_chain(mdp, pi)
    V = features.phi @ td_fixed_point(mdp, pi, features.phi)
    delta = _reward_model(mdp, pi, features) + mdp.gamma * mdp.expect_next(V)
    return _scored(visitation_distribution(chain.transition, mdp.xi, mdp.gamma), chain.joint, delta, mdp)


def errors(mdp: FiniteMDP, pi: np.ndarray, features: CriticFeatures) -> CriticErrors:
    """All exact."""
    chain = induced_chain(mdp, pi)
    mu, d = stationary_distribution(chain.transition), visitation_distribution(chain.transition, mdp.xi, mdp.gamma)
    e_V = features.phi @ td_fixed_point(mdp, pi, features.phi) - value_function(mdp, pi)
    e_R = _reward_model(mdp, pi, features) - mdp.team_reward
    X = e_R + mdp.gamma * mdp.expect_next(e_V)
    covariances = np.eye(mdp.actions) * pi[..., None] - pi[..., None] * pi[..., None, :]
    bound = float(np.linalg.eigvalsh(covariances).max() * d.max() * (d @ (chain.joint * X**2).sum(axis=1)))
    return CriticErrors(float(mu @ e_V**2), float(mu @ (chain.joint * e_R**2).sum(axis=1)),
                        mean_direction(mdp, pi, features), _scored(d, chain.joint, X, mdp), bound)


def projection_error(mdp: FiniteMDP, pi: np.ndarray, phi: np.ndarray) -> float:
    """The least |phi'x - V|_mu^2 over x."""
    root = np.sqrt(stationary_distribution(induced_chain(mdp, pi).transition))
    V = value_function(mdp, pi)
    x = np.linalg.lstsq(root[:, None] * phi, root * V, rcond=None)[0]
    return float(np.square(root * (phi @ x - V)).sum())


def worst_cycle(gamma: float) -> tuple[FiniteMDP, np.ndarray, np.ndarray]:
    """A game of one agent without a choice in which TD(0)'s error is 1 / sqrt(1 - gamma^2) times the least, its policy
    and its one feature.

    Three states follow each other in a circle, P an isometry; phi, of norm 1 in mu, has <phi, P phi> = gamma, and V is
    the part of P'phi that is orthogonal to phi.
    """
    P = np.roll(np.eye(3), 1, axis=1)
    wave = np.sqrt(2.0) * np.cos(2.0 * np.pi * np.arange(3) / 3)
    constant = (gamma + 0.5) / 1.5                                  # share of the constant: 1 c - (1 - c) / 2 = gamma
    phi = np.sqrt(constant) + np.sqrt(1.0 - constant) * wave
    V = P.T @ phi - gamma * phi
    reward = V - gamma * P @ V
    return FiniteMDP(P[:, None], reward[:, None, None], np.full(3, 1 / 3), gamma), np.ones((1, 3, 1)), phi[:, None]


def steered(rng: np.random.Generator, agents: int, states: int, gamma: float = 0.9) -> FiniteMDP:
    """A random game in which it matters where one is: r = c(s) + n(s, a) / 2, normal, P ~ Dirichlet(0.1, ..., 0.1)."""
    joint = 2**agents
    reward = rng.standard_normal((states, 1)) + 0.5 * rng.standard_normal((states, joint))
    P = 0.95 * rng.dirichlet(np.full(states, 0.1), (states, joint)) + 0.05 / states
    return FiniteMDP(P, np.repeat(reward[..., None], agents, axis=2), np.full(states, 1.0 / states), gamma)


def climbed(item: tuple[FiniteMDP, CriticFeatures, int]) -> np.ndarray:
    """(N, S, A) tabular policies after so many mean steps of CAC with double sampling from uniform ones.

    Args:
        item: game, features, iterations.
    """
    mdp, features, iterations = item
    logits = np.zeros((mdp.agents, mdp.states, mdp.actions))
    for _ in range(iterations):
        logits += STEP * mean_direction(mdp, softmax(logits, axis=-1), features)
    return softmax(logits, axis=-1)


def trained(item: tuple[FiniteMDP, CriticFeatures, int, int]) -> float:
    """J of the last policies of a run of netac's CAC on a complete graph, with double sampling from running chains.

    Args:
        item: game, features, iterations, seed.
    """
    mdp, features, T, seed = item
    with TemporaryDirectory(prefix="netac-") as folder:
        np.savez(Path(folder) / "features.npz", phi=features.phi, psi=features.psi)
        parts = next(walk({
            "agents": mdp.agents, "iterations": T + 1, "seed": seed, "topology": "complete",
            "env": {"name": "finite-mdp", "path": save_game(mdp, Path(folder) / "game.npz"),
                    "features": str(Path(folder) / "features.npz")},
            "policy": {"name": "tabular", "shared": []},
            "algorithm": {"name": "cac", "sampling": "double", "actor_step": ACTOR, "critic_step": CRITIC,
                          "reward_step": CRITIC}}, [T]))
        return objective(mdp, policies(parts))


def _reward_model(mdp: FiniteMDP, pi: np.ndarray, features: CriticFeatures) -> np.ndarray:
    """(S, J) psi'lambda*; the exact features, one-hot, need no large least squares."""
    if features.reward == "exact":
        return reward_fixed_point(mdp, pi).reshape(mdp.states, -1)
    return features.psi @ reward_fixed_point(mdp, pi, features.psi)


def _scored(weights: np.ndarray, joint: np.ndarray, X: np.ndarray, mdp: FiniteMDP) -> np.ndarray:
    """(N, S, A) E[X(s, a) grad log pi_i(a_i|s)] in logits, s ~ weights: X less its mean given s, by own action."""
    centred = X - (joint * X).sum(axis=1, keepdims=True)
    return agent_marginals(weights[:, None] * joint * centred, mdp.agents, mdp.actions)
