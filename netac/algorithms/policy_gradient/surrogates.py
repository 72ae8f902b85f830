"""Surrogate objectives of probability ratios, the effective sample size, and the optimal baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from netac.algorithms.policy_gradient.masks import average, kept

LARGEST_LOG_RATIO = 30.0      # the squares of such ratios still fit into single precision


@dataclass(frozen=True)
class Surrogate:
    """A surrogate at the current policies; double.

    Attributes:
        weights: (..., M): sum_e weights_e grad log pi(a_e|s_e) is the gradient of the *sum* of its samples; 0 where not
            active.
        measure: gives value, improvement and outside, which steps of learning do not ask for.
    """

    weights: np.ndarray
    measure: Callable[[], tuple[np.ndarray, np.ndarray, np.ndarray]]

    @cached_property
    def _measures(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.measure()

    @property
    def value(self) -> np.ndarray:
        """(...) its mean over the active samples."""
        return self._measures[0]

    @property
    def improvement(self) -> np.ndarray:
        """(...) value less what it was at the old policy, where all ratios are 1."""
        return self._measures[1]

    @property
    def outside(self) -> np.ndarray:
        """(...) fraction of the active samples whose ratio is outside the clip range."""
        return self._measures[2]


def ratios(log_ratio: np.ndarray) -> np.ndarray:
    """exp of log ratios held within +-30, so that nothing overflows."""
    return np.exp(np.clip(log_ratio, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO))


def clipped(log_ratio: np.ndarray, M: np.ndarray, active: np.ndarray | None = None, *, epsilon: float) -> Surrogate:
    """mean of min(ratio M, clip(ratio, 1 +- epsilon) M): Kuba et al. (2022), equation 11; with M = A PPO's, equation 4.

    Args:
        log_ratio: (..., M) log pi_new(a|s) - log pi_old(a|s); of the joint policy for joint ratios (paper 002, eq. 6).
        M: (..., M) factor x advantage (equation 10); broadcasts.
        active: who took part in which sample; None: all in all.
        epsilon: half the width of the clip range.
    """
    ratio, M = ratios(kept(log_ratio, active)), kept(M, active)
    free, bound = ratio * M, np.clip(ratio, 1.0 - epsilon, 1.0 + epsilon) * M

    def measure() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        objective = np.minimum(free, bound)
        return (average(objective, active), average(objective - M, active),
                average(np.abs(ratio - 1.0) > epsilon, active))

    return Surrogate(kept(np.where(free <= bound, free, 0.0), active), measure)


def unclipped(log_ratio: np.ndarray, M: np.ndarray, active: np.ndarray | None = None) -> Surrogate:
    """mean of ratio M, for HATRPO and HAA2C; its improvement is the mean of (ratio - 1) M (Kuba et al., 2022, eq. 10).

    Args:
        log_ratio, M, active: as in `clipped`.  No ratio is outside, as there is no clip range.
    """
    log_ratio, M = kept(log_ratio, active), kept(M, active)
    objective = ratios(log_ratio) * M

    def measure() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        gain = np.expm1(np.clip(log_ratio, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)) * M
        value = average(objective, active)
        return value, average(gain, active), np.zeros_like(value)

    return Surrogate(kept(objective, active), measure)


def effective_sample_size(log_factor: np.ndarray, active: np.ndarray | None = None) -> np.ndarray:
    """(..., M) -> (...): (sum f)^2 / (M sum f^2) of f = exp(log_factor) over the active samples (Kong, 1992).

    In (0, 1]: 1 where all weights are equal, and where no sample is active; 1 / M where one sample outweighs the
    others.
    """
    log_factor = kept(log_factor, active)
    mask = np.ones(log_factor.shape, dtype=bool) if active is None else np.broadcast_to(
        np.asarray(active, dtype=bool), log_factor.shape)
    if not log_factor.shape[-1]:
        return np.ones(log_factor.shape[:-1])
    top = np.max(log_factor, axis=-1, keepdims=True, where=mask, initial=-np.inf)
    f = kept(np.exp(np.minimum(log_factor - np.where(np.isfinite(top), top, 0.0), 0.0)), mask)
    squares = average(f * f, mask)
    return np.where(squares > 0, np.minimum(average(f, mask) ** 2 / np.where(squares > 0, squares, 1.0), 1.0), 1.0)


def optimal_baseline(pi: np.ndarray | float, q: np.ndarray, score_norms: np.ndarray) -> np.ndarray:
    """E[Q |grad log pi|^2] / E[|grad log pi|^2] over the agent's own action (004, the slide on the optimal baseline).

    Of all b(s, a_-i) it gives (Q - b) grad log pi the least variance, where the norm is that of the score with respect
    to the policy's outputs; E[Q] where no action has a score (a deterministic policy).

    Args:
        pi: (..., A) probabilities of the actions, or 1.0 for K actions sampled from the policy, not the action at which
            the gradient is taken: a baseline that depends on that one biases the gradient.
        q: (..., A) or (..., K) Q(s, a_-i, a).
        score_norms: the same shape, squared norms of the scores, what a distribution's `own_score_norms` gives.

    Returns:
        (...), between the least and the largest q.
    """
    q = np.asarray(q, dtype=float)
    pi = np.broadcast_to(np.asarray(pi, dtype=float), q.shape)
    weights = pi * score_norms
    weights = np.where(weights.sum(axis=-1, keepdims=True) > 0, weights, pi)
    return (weights * q).sum(axis=-1) / weights.sum(axis=-1)
