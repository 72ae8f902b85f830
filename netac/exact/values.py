"""Values, the objective J with its policy gradient, and the best joint policy of a finite networked MDP.

All of it is of the team-mean reward.  J is normalised: (1 - gamma) x the expected discounted return from xi, so that it
is on the scale of one reward.
"""

from __future__ import annotations

import numpy as np

from netac.exact.distributions import InducedChain, induced_chain, stationary_distribution, visitation_distribution
from netac.exact.mdp import FiniteMDP


def value_function(mdp: FiniteMDP, pi: np.ndarray) -> np.ndarray:
    """(S,) V = r_pi + gamma P_pi V, Zeng et al., equation 2, under local policies `pi` (N, S, A)."""
    return _value(mdp, induced_chain(mdp, pi))


def action_value(mdp: FiniteMDP, pi: np.ndarray) -> np.ndarray:
    """(S, J) Q(s, a) = r-bar(s, a) + gamma E V(s') under local policies `pi` (N, S, A)."""
    return mdp.team_reward + mdp.gamma * mdp.expect_next(value_function(mdp, pi))


def objective(mdp: FiniteMDP, pi: np.ndarray) -> float:
    """J, Zeng et al., equation 3, times 1 - gamma, under local policies `pi` (N, S, A)."""
    return _objective(mdp, value_function(mdp, pi))


def softmax_gradient(mdp: FiniteMDP, pi: np.ndarray) -> np.ndarray:
    """(N, S, A) gradient of J with respect to every agent's softmax logits, one per state and action.

    Zeng et al., equation 4, with the tabular score written out: d(s) pi_i(a|s) E[Q(s, a, a_-i) - V(s)].
    """
    return objective_and_gradient(mdp, pi)[1]


def objective_and_gradient(mdp: FiniteMDP, pi: np.ndarray) -> tuple[float, np.ndarray]:
    """J and its gradient (N, S, A), what `objective` and `softmax_gradient` give, from one chain."""
    chain = induced_chain(mdp, pi)
    V = _value(mdp, chain)
    advantage = mdp.team_reward + mdp.gamma * mdp.expect_next(V) - V[:, None]
    visits = visitation_distribution(chain.transition, mdp.xi, mdp.gamma)
    return _objective(mdp, V), agent_marginals(visits[:, None] * chain.joint * advantage, mdp.agents, mdp.actions)


def agent_marginals(weights: np.ndarray, agents: int, actions: int) -> np.ndarray:
    """(N, S, A) sums of `weights` (S, J) over the joint actions in which agent i takes action a."""
    states = len(weights)
    return np.stack([weights.reshape(states, actions**i, actions, -1).sum(axis=(1, 3)) for i in range(agents)])


def average_reward(mdp: FiniteMDP, pi: np.ndarray) -> float:
    """Long-run team-mean reward per step under local policies `pi` (N, S, A), what mu tracks in DAC's average setting.

    Raises:
        RunError: as `stationary_distribution`.
    """
    chain = induced_chain(mdp, pi)
    return float(stationary_distribution(chain.transition) @ chain.reward)


def optimal_joint_actions(mdp: FiniteMDP) -> np.ndarray:
    """(S,) index of the best joint action in each state, by policy iteration on the joint MDP.

    An action is replaced only by one whose value is higher by more than rounding, so the iteration ends.
    """
    rows = np.arange(mdp.states)
    best = mdp.team_reward.argmax(axis=1)
    while True:
        V = _deterministic_value(mdp, best)
        Q = mdp.team_reward + mdp.gamma * mdp.expect_next(V)
        rounding = 8 * np.finfo(float).eps * np.abs(Q).max() / (1 - mdp.gamma)
        better = Q.max(axis=1) > Q[rows, best] + rounding
        if not better.any():
            return best
        best = np.where(better, Q.argmax(axis=1), best)


def optimal_objective(mdp: FiniteMDP) -> float:
    """J_max, the objective of the best joint policy (which a product of local policies attains), to rounding."""
    return _objective(mdp, _deterministic_value(mdp, optimal_joint_actions(mdp)))


def _objective(mdp: FiniteMDP, V: np.ndarray) -> float:
    return float((1 - mdp.gamma) * (mdp.xi @ V))


def _value(mdp: FiniteMDP, chain: InducedChain) -> np.ndarray:
    return _discounted_sum(chain.transition, chain.reward, mdp.gamma)


def _deterministic_value(mdp: FiniteMDP, joint_actions: np.ndarray) -> np.ndarray:
    rows = np.arange(mdp.states)
    return _discounted_sum(mdp.P[rows, joint_actions], mdp.team_reward[rows, joint_actions], mdp.gamma)


def _discounted_sum(transition: np.ndarray, reward: np.ndarray, gamma: float) -> np.ndarray:
    """(S,) solution of V = reward + gamma transition V."""
    return np.linalg.solve(np.eye(len(reward)) - gamma * transition, reward)
