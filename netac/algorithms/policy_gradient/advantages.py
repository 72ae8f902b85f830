"""Advantage estimation: the generalised estimate of Schulman et al. (2016), and advantages brought to one scale."""

from __future__ import annotations

import math

import numpy as np

from netac.algorithms.policy_gradient.masks import average, kept


def gae(r: np.ndarray, v: np.ndarray, v_next: np.ndarray, bootstrap_mask: np.ndarray, done: np.ndarray, gamma: float,
        lam: float) -> tuple[np.ndarray, np.ndarray]:
    """Generalised advantage estimates, Schulman et al. (2016, "High-dimensional continuous control ..."), equation 16.

    delta_t = r_t + gamma m_t V(s_{t+1}) - V(s_t),  A_t = delta_t + gamma lam m_t (1 - done_t) A_{t+1}, with
    nothing beyond the last step.  A truncated episode (mask 1, done 1) bootstraps from its final state and passes
    nothing on.

    Args:
        r, v: (..., T, E) rewards, and V(s_t) in units of returns.
        v_next: (..., T, E) V(s_{t+1}), of the final state where an episode ended; anything where the mask is 0.
        bootstrap_mask: m, 0 where the state after the step is terminal, 1 where the episode goes on or was truncated.
        done: 1 where an episode ended with the step.  Both broadcast to (..., T, E); bool or numbers.
        gamma, lam: discount, and how far estimates look: 0 one step, 1 to the end.

    Returns:
        (..., T, E) double, advantages A, and targets A + V, the returns that V should learn.
    """
    r, v = np.asarray(r, dtype=float), np.asarray(v, dtype=float)
    bootstrap_mask = np.asarray(bootstrap_mask, dtype=bool)
    delta = r + gamma * kept(v_next, bootstrap_mask) - v
    flows = np.broadcast_to(gamma * lam * (bootstrap_mask & ~np.asarray(done, dtype=bool)), delta.shape)
    A = np.empty(delta.shape)
    beyond = np.zeros(delta[..., 0, :].shape)
    for t in reversed(range(delta.shape[-2])):
        beyond = A[..., t, :] = delta[..., t, :] + flows[..., t, :] * beyond
    return A, A + v


def normalised(advantages: np.ndarray, active: np.ndarray | None = None, epsilon: float = 1e-5, *,
               joint: bool = True) -> np.ndarray:
    """(A - mean) / (deviation + epsilon), the deviation being the root of the mean square over M samples, not M - 1.

    Args:
        advantages: (...), or (n, ...) where each agent has its own.
        active: who took part in which sample, of a shape that broadcasts; None: all in all.
        joint: mean and deviation of all samples together; if not, of each row along the leading axis by itself, which
            makes the agents' scales equal where the joint one keeps their proportions.

    Returns:
        A new double array of the same shape, 0 where not active.
    """
    A = np.asarray(advantages, dtype=float)
    rows = (1, A.size) if joint else (len(A), math.prod(A.shape[1:]))
    mask = None if active is None else np.broadcast_to(np.asarray(active, dtype=bool), A.shape).reshape(rows)
    flat = A.reshape(rows)
    centred = kept(flat - average(flat, mask)[:, None], mask)
    return (centred / (np.sqrt(average(centred**2, mask)) + epsilon)[:, None]).reshape(A.shape)


def deviation(advantages: np.ndarray, active: np.ndarray | None = None) -> np.ndarray:
    """Root of the mean square about the mean of each row, over its active samples: (n, M) -> (n,)."""
    centred = advantages - average(advantages, active)[:, None]
    return np.sqrt(average(centred**2, active))


def own_advantages(A: np.ndarray, active: np.ndarray | None, how: str,
                   discounts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What weighs in the policies' gradient: advantages (n, M), and the scales (n,) by which they were divided.

    The gradient of the discounted return from an episode's first state is the sum over its steps t of gamma^t A_t
    grad log pi(a_t|o_t).  Without the factor, as in the published code of the trainers, it is that of no objective
    (Nota and Thomas, 2020, "Is the policy gradient a gradient?").  Surrogates are proportional to A where A keeps its
    sign, so that the factor makes the mean over samples one with these weights, inside and outside the clip range.

    Args:
        how: "agent": A is normalised over each agent's own samples, before it is discounted.
        discounts: (M,) gamma^t; None: without the factor.
    """
    scales = np.ones(len(A))
    if how == "agent":
        A, scales = normalised(A, active, joint=False), deviation(A, active)
    return discounted(A, discounts), scales


def discounted(A: np.ndarray, discounts: np.ndarray | None) -> np.ndarray:
    """A (..., M) times gamma^t of the samples' steps, (M,); None: as it is."""
    return A if discounts is None else discounts * A
