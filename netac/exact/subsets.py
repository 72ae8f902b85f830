"""Values and advantages of subsets of agents, the others averaged out (Kuba et al., 2022, section 2.1).

Arrays of joint actions of agents i_1, ..., i_m have an axis for each of them, in that order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netac.exact.mdp import FiniteMDP
from netac.exact.values import action_value


def subset_action_value(mdp: FiniteMDP, pi: np.ndarray, agents: Sequence[int],
                        Q: np.ndarray | None = None) -> np.ndarray:
    """Q^{i_{1:m}}(s, a^{i_{1:m}}) = E[Q(s, a)] over the other agents' actions (Definition 1).

    Args:
        pi: (N, S, A) local policies.
        agents: i_1, ..., i_m, in any order; none: V(s).
        Q: (S, J) action values, or any other function of state and joint action; None: those under `pi`.

    Returns:
        (S, A, ..., A), m axes of actions.

    Raises:
        ValueError: an agent is named twice, or there is no such agent.
    """
    states, N = mdp.states, mdp.agents
    if len(set(agents)) < len(agents) or not set(agents) <= set(range(N)):
        raise ValueError(f"agents {list(agents)} are not different ones of 0 to {N - 1}")
    values = (action_value(mdp, pi) if Q is None else Q).reshape(states, *[mdp.actions] * N)
    left = list(range(N))
    for other in reversed(range(N)):
        if other not in agents:
            axis = left.index(other)
            moved = np.moveaxis(values, axis + 1, -1)
            values = (moved * pi[other].reshape(states, *[1] * (moved.ndim - 2), mdp.actions)).sum(axis=-1)
            left.pop(axis)
    return np.transpose(values, [0, *(left.index(agent) + 1 for agent in agents)])


def subset_advantage(mdp: FiniteMDP, pi: np.ndarray, agents: Sequence[int], given: Sequence[int] = (),
                     Q: np.ndarray | None = None) -> np.ndarray:
    """A^{i_{1:m}}(s, a^{j_{1:k}}, a^{i_{1:m}}) = Q^{j_{1:k}, i_{1:m}} - Q^{j_{1:k}} (equation 1).

    Args:
        agents, given: i_1, ..., i_m and j_1, ..., j_k, all different.
        pi, Q: as in `subset_action_value`.

    Returns:
        (S, A, ..., A): k axes of the actions `given`, then m of `agents`.

    Raises:
        ValueError: as `subset_action_value`.
    """
    known = action_value(mdp, pi) if Q is None else Q
    before = subset_action_value(mdp, pi, given, known)
    return subset_action_value(mdp, pi, [*given, *agents], known) - before.reshape(*before.shape, *[1] * len(agents))
