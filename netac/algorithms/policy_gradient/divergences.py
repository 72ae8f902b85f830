"""How far a policy has moved, Kullback-Leibler divergence and total variation, and its entropy.

Total variation is half the L1 distance, the largest difference in the probability of any event.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

# of an agent in every sample: log probabilities (M, A) and None, or means (M, d) and log standard deviations (d,)
Distribution = tuple[np.ndarray, np.ndarray | None]


def categorical_kl(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """KL(p || q) = sum_a p_a (log p_a - log q_a), exact: (..., A) log probabilities -> (...).

    -inf stands for probability 0: such a term of p is 0, one of q alone makes the divergence infinite.
    """
    p = np.exp(np.asarray(log_p, dtype=float))
    difference = np.zeros(np.broadcast_shapes(p.shape, np.shape(log_q)))
    np.subtract(log_p, log_q, out=difference, where=p > 0)
    return np.maximum((p * difference).sum(axis=-1), 0.0)


def categorical_tv(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """sum_a |p_a - q_a| / 2, exact (that of paper 002, proposition 3): (..., A) log probabilities -> (...)."""
    p, q = (np.exp(np.asarray(logs, dtype=float)) for logs in (log_p, log_q))
    return np.minimum(0.5 * np.abs(p - q).sum(axis=-1), 1.0)


def normal_kl(mean: np.ndarray, log_std: np.ndarray, new_mean: np.ndarray, new_log_std: np.ndarray) -> np.ndarray:
    """KL(N(mean, std^2) || N(new mean, new std^2)) of diagonal normal distributions, exact.

    With u = log std - log new std and z = (mean - new mean) / new std it is sum_j (expm1(2 u_j) - 2 u_j + z_j^2) / 2, in
    which nothing cancels when the two are near.

    Args:
        mean, log_std, new_mean, new_log_std: shapes that broadcast to (..., d).

    Returns:
        (...).
    """
    u = np.asarray(log_std, dtype=float) - new_log_std
    z = (np.asarray(mean, dtype=float) - new_mean) * np.exp(-np.asarray(new_log_std, dtype=float))
    return np.maximum(0.5 * (np.expm1(2.0 * u) - 2.0 * u + z * z).sum(axis=-1), 0.0)


def normal_tv(mean: np.ndarray, log_std: np.ndarray, new_mean: np.ndarray, new_log_std: np.ndarray) -> np.ndarray:
    """Total variation of diagonal normal distributions: exact for d = 1, an upper bound for d > 1.

    The bound is the smaller of 1 - prod_j (1 - TV_j), from coupling every coordinate as well as it can be by itself (which
    is never more than the sum of the TV_j), and Pinsker's sqrt(KL / 2).

    Args:
        mean, log_std, new_mean, new_log_std: shapes that broadcast to (..., d).

    Returns:
        (...), in [0, 1].
    """
    coupled = 1.0 - np.prod(1.0 - _line_tv(mean, log_std, new_mean, new_log_std), axis=-1)
    return np.minimum(coupled, np.sqrt(0.5 * normal_kl(mean, log_std, new_mean, new_log_std)))


def _line_tv(mean: np.ndarray, log_std: np.ndarray, new_mean: np.ndarray, new_log_std: np.ndarray) -> np.ndarray:
    """Of one-dimensional normal distributions, exact, for all entries.

    In units of the narrower one, N(0, 1), the other is N(m, 1/t^2), m >= 0, t <= 1.  The narrower one's density is the larger
    between the roots of (1 - t^2) x^2 + 2 m t^2 x - (m^2 t^2 - 2 log t) = 0, so TV is the difference of their masses there;
    for t = 1 the lower root is at -infinity.
    """
    log_std, new_log_std = np.asarray(log_std, dtype=float), np.asarray(new_log_std, dtype=float)
    u = np.abs(log_std - new_log_std)
    m = np.abs(np.asarray(mean, dtype=float) - new_mean) * np.exp(-np.minimum(log_std, new_log_std))
    t, a, mt = np.exp(-u), -np.expm1(-2.0 * u), m * np.exp(-u)
    q = mt * t + np.hypot(mt, np.sqrt(2.0 * a * u))       # minus half of b + sqrt(b^2 - 4 a c), without cancellation
    same, level = q == 0, a == 0
    low = np.where(level, -np.inf, -q / np.where(level, 1.0, a))
    high = (mt * mt + 2.0 * u) / np.where(same, 1.0, q)
    inside = ndtr(high) - ndtr(low) - (ndtr((high - m) * t) - ndtr((low - m) * t))
    return np.where(same, 0.0, np.clip(inside, 0.0, 1.0))


def log_density(distribution: Distribution, actions: np.ndarray) -> np.ndarray:
    """log pi(a_e|o_e) of (M,) discrete actions or (M, d) vectors, with the bits of `NeuralPolicy.log_prob`: (M,)."""
    values, log_std = distribution
    if log_std is None:
        return np.take_along_axis(values, actions[:, None], axis=1)[:, 0]
    z = (actions - values) * np.exp(-log_std)
    return -0.5 * np.vecdot(z, z) - (log_std + 0.5 * np.log(2.0 * np.pi)).sum()


def entropy(distribution: Distribution) -> np.ndarray:
    """H(pi(.|o_e)) = -E[log pi] of what an agent draws from, exact: (M,)."""
    values, log_std = distribution
    if log_std is None:
        p = np.exp(np.asarray(values, dtype=float))
        return -(p * np.where(p > 0, values, 0.0)).sum(axis=-1)
    return np.full(len(values), (log_std + 0.5 * np.log(2.0 * np.pi * np.e)).sum())


def divergences(before: Distribution, after: Distribution) -> tuple[np.ndarray, np.ndarray]:
    """What `NeuralPolicy.distributions` gives of an agent -> KL divergence and total variation in every sample, (M,)."""
    (first, log_std), (second, new_log_std) = before, after
    if log_std is None:
        return categorical_kl(first, second), categorical_tv(first, second)
    return normal_kl(first, log_std, second, new_log_std), normal_tv(first, log_std, second, new_log_std)


def joint_tv_bound(tvs: np.ndarray) -> np.ndarray:
    """Upper bound of the total variation of the joint policy, paper 002, proposition 2: the sum of the agents', at most 1.

    Args:
        tvs: (N, ...) of every agent: per state, for a bound per state, or largest over states, for one of the largest.

    Returns:
        (...).
    """
    return np.minimum(np.asarray(tvs, dtype=float).sum(axis=0), 1.0)
