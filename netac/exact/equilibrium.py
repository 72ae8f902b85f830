"""What one agent could gain by itself: best responses and the Nash gap of local policies."""

from __future__ import annotations

import numpy as np

from netac.exact.mdp import FiniteMDP
from netac.exact.subsets import subset_action_value
from netac.exact.values import objective
from netac.utils.errors import InputError


def best_response(mdp: FiniteMDP, pi: np.ndarray, agent: int, eta: float = 0.0) -> np.ndarray:
    """(S, A) the policy of one agent that is best, from every state, against the others' in `pi` (N, S, A).

    With eta > 0 it is the best of the eta-soft ones, with pi(a|s) >= eta for all a (Kuba et al., 2022, Assumption 1).

    By policy iteration.  An action replaces another only where its value is higher by more than rounding errors, which
    are as large as the values of joint actions make them, not their averages over the others' actions; and iterations
    go on only while the values grow, so that they end, whatever the rounding.

    Raises:
        InputError: eta leaves no policy.
    """
    actions, states = mdp.actions, np.arange(mdp.states)
    if not 0 <= eta <= 1 / actions:
        raise InputError("leaves no policy", key="eta", found=eta,
                         valid=f"0 <= eta <= 1/{actions}, the number of actions")
    pi = pi.copy()
    greedy = pi[agent].argmax(axis=1)
    rounding = 64 * np.finfo(float).eps * np.abs(mdp.team_reward).max() / (1.0 - mdp.gamma)
    best, value = pi[agent], -np.inf
    while True:
        pi[agent] = eta
        pi[agent, states, greedy] = 1.0 - eta * (actions - 1)
        Q = subset_action_value(mdp, pi, [agent])
        reached = float((pi[agent] * Q).sum())
        if not reached > value:
            return best
        best, value = pi[agent].copy(), reached
        better = Q.max(axis=1) > Q[states, greedy] + rounding
        if not better.any():
            return best
        greedy = np.where(better, Q.argmax(axis=1), greedy)


def nash_gap(mdp: FiniteMDP, pi: np.ndarray, eta: float = 0.0) -> float:
    """max_i max_{pi'_i} J(pi'_i, pi_-i) - J(pi), at least 0; 0 in a Nash equilibrium (Kuba et al., 2022, Definition 3).

    J is `objective`, normalised: divided by 1 - gamma the gap is one of discounted returns, as in that paper.

    Args:
        pi: (N, S, A) local policies.
        eta: as in `best_response`: the gap within the eta-soft policies.
    """
    now, gains = objective(mdp, pi), [0.0]
    for agent in range(mdp.agents):
        changed = pi.copy()
        changed[agent] = best_response(mdp, pi, agent, eta)
        gains.append(objective(mdp, changed) - now)
    return max(gains)
