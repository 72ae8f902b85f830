"""Where the critics of the decentralized algorithms converge to while the policies stand still.

All agents share these fixed points, because the weights of the consensus steps are doubly stochastic.  Where a fixed
point is not unique (redundant features, states never visited; in the average setting a constant too) the one of least
norm is given.  In the discounted setting that is the one which updates from zero reach.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from netac.exact.distributions import induced_chain, stationary_distribution
from netac.exact.mdp import FiniteMDP

Setting = Literal["discounted", "average"]


def td_fixed_point(mdp: FiniteMDP, pi: np.ndarray, phi: np.ndarray, setting: Setting = "discounted") -> np.ndarray:
    """(K,) the fixed point of TD(0) for the team-mean reward: E[delta phi(s)] = 0.

    The critics of CAC, IAC, DAC and MDAC end here.  Zeng et al. write omega* as the minimiser of the squared TD error
    (their equation 7a), which is another point wherever the next state is random: see `td_error_minimiser`.

    Args:
        pi: (N, S, A) local policies.
        phi: (S, K) features of the states.
        setting: "average" drops the discount and subtracts the average reward (Zhang et al. 2018, Algorithm 2).

    Raises:
        RunError: as `stationary_distribution`.
    """
    chain = induced_chain(mdp, pi)
    mu = stationary_distribution(chain.transition)
    return _td_solution(mu, phi, chain.transition @ phi, chain.reward, _discount(mdp, setting))


def td_error_minimiser(mdp: FiniteMDP, pi: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """(K,) omega that minimises E[(r + gamma V(s') - V(s))^2], s' drawn from P: Zeng et al., equations 7a and 7b.

    The square also counts the variance of V(s'), so that this point prefers values that are alike in all s' that may
    follow: even one-hot features do not give the value function, unless transitions are deterministic.  No algorithm
    here ends at it.

    Args:
        pi: (N, S, A) local policies.
        phi: (S, K) features of the states.

    Raises:
        RunError: as `stationary_distribution`.
    """
    chain = induced_chain(mdp, pi)
    mu = stationary_distribution(chain.transition)
    change = mdp.gamma * phi - phi[:, None]                                             # (S, S', K)
    moves = mu[:, None] * chain.transition
    rewards = mu[:, None] * np.einsum("sj,sj,sjt->st", chain.joint, mdp.team_reward, mdp.P)
    return np.linalg.lstsq(np.einsum("st,stk,stl->kl", moves, change, change),
                           -np.einsum("st,stk->k", rewards, change), rcond=None)[0]


def action_value_fixed_point(mdp: FiniteMDP, pi: np.ndarray, psi: np.ndarray,
                             setting: Setting = "discounted") -> np.ndarray:
    """(L,) fixed point of TD(0) for Q(s, a) = psi(s, a)'omega (Zhang et al. 2018, Algorithm 1).

    Args:
        pi: (N, S, A) local policies.
        psi: (S J, L) features of state and joint action, row s J + j; or (S, J, L).
        setting: as in `td_fixed_point`.

    Raises:
        RunError: as `stationary_distribution`.
    """
    chain = induced_chain(mdp, pi)
    mu = stationary_distribution(chain.transition)
    features = psi.reshape(mdp.states, mdp.joint_actions, -1)
    on_policy = np.matmul(chain.joint[:, None, :], features)[:, 0]
    rows = mdp.states * mdp.joint_actions
    return _td_solution((mu[:, None] * chain.joint).ravel(), features.reshape(rows, -1),
                        mdp.expect_next(on_policy).reshape(rows, -1), mdp.team_reward.ravel(), _discount(mdp, setting))


def reward_fixed_point(mdp: FiniteMDP, pi: np.ndarray, psi: np.ndarray | None = None) -> np.ndarray:
    """(L,) lambda*, the least-squares model psi(s, a)'lambda of the team-mean reward, Zeng et al., equation 6a.

    Args:
        pi: (N, S, A) local policies.
        psi: (S J, L) features of state and joint action, row s J + j; or (S, J, L).  None means one-hot (L = S J),
            for which nothing larger than the answer is built.

    Raises:
        RunError: as `stationary_distribution`.
    """
    chain = induced_chain(mdp, pi)
    weights = (stationary_distribution(chain.transition)[:, None] * chain.joint).ravel()
    if psi is None:
        return np.where(weights > 0, mdp.team_reward.ravel(), 0.0)
    root = np.sqrt(weights)
    features = psi.reshape(len(root), -1)
    return np.linalg.lstsq(root[:, None] * features, root * mdp.team_reward.ravel(), rcond=None)[0]


def _discount(mdp: FiniteMDP, setting: Setting) -> float | None:
    """gamma, or None in the average setting."""
    if setting not in ("discounted", "average"):
        raise ValueError(f"setting is {setting!r}, neither 'discounted' nor 'average'")
    return mdp.gamma if setting == "discounted" else None


def _td_solution(weights: np.ndarray, features: np.ndarray, next_features: np.ndarray, reward: np.ndarray,
                 gamma: float | None) -> np.ndarray:
    """Least-norm x with sum_k weights_k features_k (reward_k + (gamma next_features_k - features_k)'x) = 0.

    `gamma` None is the average setting: no discount, and the weighted mean of the reward is subtracted from it.
    """
    if gamma is None:
        gamma, reward = 1.0, reward - weights @ reward
    weighted = (weights[:, None] * features).T
    return np.linalg.lstsq(weighted @ (features - gamma * next_features), weighted @ reward, rcond=None)[0]
