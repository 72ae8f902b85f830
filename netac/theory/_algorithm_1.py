"""Multi-agent policy iteration with monotonic improvement guarantee (Kuba et al., 2022, Algorithm 1), exactly.

Returns and values are not normalised here: J = xi'V, rho(s) = sum_t gamma^t P(s_t = s), as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from netac.exact import (
    FiniteMDP,
    action_value,
    subset_action_value,
    subset_advantage,
    transition,
    visitation_distribution,
)
from netac.theory._penalised import penalised, shortfall, within_ball


class SequentialUpdate(NamedTuple):
    """The policies pi_{k+1}, and the values that line 7 attained."""

    pi: np.ndarray
    """(N, S, A)."""
    summands: np.ndarray
    """(N,) L^{i_{1:m}}(pi_{k+1}^{i_{1:m-1}}, pi_{k+1}^{i_m}) - C D_KL^max of m = 1, ..., n: those of Lemma 2."""
    shortfalls: np.ndarray
    """(N,) upper bounds of their distances from the maximum."""
    radii: np.ndarray
    """(N,) D_KL^max(pi_k^{i_m}, pi_{k+1}^{i_m})."""


def value(mdp: FiniteMDP, pi: np.ndarray) -> float:
    """J(pi)."""
    return float(mdp.xi @ subset_action_value(mdp, pi, []))


def local_advantage(mdp: FiniteMDP, pi: np.ndarray, new: np.ndarray, before: Sequence[int], agent: int,
                    Q: np.ndarray) -> np.ndarray:
    """(S, A) E[A^{i_m}(s, a^{i_{1:m-1}}, a^{i_m})], the actions of i_{1:m-1} = `before` drawn from `new` (N, S, A)."""
    advantage = subset_advantage(mdp, pi, [agent], before, Q)
    for other in before:
        policy = new[other].reshape(mdp.states, mdp.actions, *[1] * (advantage.ndim - 2))
        advantage = (policy * advantage).sum(axis=1)
    return advantage


def iterate(mdp: FiniteMDP, pi: np.ndarray, order: Sequence[int], eta: float) -> SequentialUpdate:
    """Lines 3 to 8: iteration k from pi_k (N, S, A), with the permutation `order` of line 5."""
    Q = action_value(mdp, pi)                                                               # line 3
    rho = visitation_distribution(transition(mdp, pi), mdp.xi, mdp.gamma) / (1.0 - mdp.gamma)
    epsilon = np.abs(Q - subset_action_value(mdp, pi, [], Q)[:, None]).max()                # line 4
    C = 4.0 * mdp.gamma * epsilon / (1.0 - mdp.gamma)**2
    new, summands, shortfalls, radii = pi.copy(), [], [], []
    for m, agent in enumerate(order):                                                       # line 6
        g = local_advantage(mdp, pi, new, order[:m], agent, Q)
        step = penalised(g, pi[agent], rho, C, eta)                                         # line 7
        new[agent] = step.q
        summands.append(rho @ (step.q * g).sum(axis=1) - C * step.radius)
        shortfalls.append(shortfall(g, pi[agent], rho, C, eta, step))
        radii.append(step.radius)
    return SequentialUpdate(new, np.array(summands), np.array(shortfalls), np.array(radii))


def within_balls(mdp: FiniteMDP, pi: np.ndarray, order: Sequence[int], radius: float, eta: float,
                 in_turn: bool) -> np.ndarray:
    """(N, S, A) policies after trust-region updates without a penalty: each the best with KL <= radius in every state.

    Args:
        in_turn: agents see the new policies of those before them; else all see the old ones only (section 2.3).
    """
    Q, new = action_value(mdp, pi), pi.copy()
    for m, agent in enumerate(order):
        g = local_advantage(mdp, pi, new, order[:m] if in_turn else (), agent, Q)
        new[agent] = within_ball(g, pi[agent], radius, eta).q
    return new
