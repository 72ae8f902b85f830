"""Linear critics of all agents of a process: V(s) = phi(s)'omega, R(s,a) = psi(s,a)'lambda, Q(s,a) = psi(s,a)'omega.

Parameters carry a leading axis "agents of this process" (n), values are (n, M) for a batch of M samples.  The kernels
(one dot product per agent and sample, one vector-matrix product per agent; sums of one term by any kernel) give the
same bits for every n, which is what makes a run's result independent of the number of processes.
"""

from __future__ import annotations

import numpy as np

from netac.agents.tabular_batch import TabularBatch


def weighted_sum(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """sum_e weights[i, e] features[e] for every agent i: (n, M), (M, K) -> (n, K)."""
    if weights.shape[1] == 1:
        return weights.dot(features)
    return np.matmul(weights[:, None, :], features)[:, 0]


def dot(parameters: np.ndarray, features: np.ndarray) -> np.ndarray:
    """features[e]'parameters[i] for every agent i and sample e: (n, K), (M, K) -> (n, M)."""
    if features.shape[1] == 1:
        return parameters.dot(features.T)
    return np.vecdot(parameters[:, None, :], features)


class StateValue:
    """V(s) = phi(s)'omega."""

    def __call__(self, omega: np.ndarray, b: TabularBatch) -> np.ndarray:
        """V_i(s), (n, M)."""
        return dot(omega, b.phi)

    def next(self, omega: np.ndarray, b: TabularBatch) -> np.ndarray:
        """V_i(s'), (n, M)."""
        return dot(omega, b.phi_next)

    def gradient(self, omega: np.ndarray, b: TabularBatch, weights: np.ndarray) -> np.ndarray:
        """sum_e weights[i, e] grad V_i(s_e), (n, K)."""
        return weighted_sum(weights, b.phi)


class RewardModel:
    """R(s,a) = psi(s,a)'lambda, the agents' estimate of the team-mean reward."""

    def __call__(self, lam: np.ndarray, b: TabularBatch) -> np.ndarray:
        """R_i(s,a), (n, M)."""
        return dot(lam, b.psi)

    def gradient(self, lam: np.ndarray, b: TabularBatch, weights: np.ndarray) -> np.ndarray:
        """sum_e weights[i, e] grad R_i(s_e, a_e), (n, L)."""
        return weighted_sum(weights, b.psi)


class ActionValue(RewardModel):
    """Q(s,a) = psi(s,a)'omega of the joint action a."""

    def next(self, omega: np.ndarray, b: TabularBatch) -> np.ndarray:
        """Q_i(s',a'), (n, M)."""
        return dot(omega, b.psi_next)

    def expected(self, omega: np.ndarray, b: TabularBatch) -> np.ndarray:
        """sum_b pi_i(b|s) Q_i(s, b, a_-i), (n, M): what agent i expects over its own action alone."""
        return np.vecdot(b.pi, np.vecdot(omega[:, None, None, :], b.psi_own))
