"""What critics learn from: the team's reward, normalised returns, and the loss with its derivative."""

from __future__ import annotations

from typing import Literal

import numpy as np

from netac.algorithms.policy_gradient.masks import average, kept

VARIANCE_FLOOR = 1e-2


def team_reward(r: np.ndarray, how: Literal["mean", "sum"] | None) -> np.ndarray:
    """The team's reward of all agents' (N, ...): (1, ...).

    Args:
        how: None: the mean, which of equal rewards is that reward, unrounded.
    """
    if how is not None:
        return getattr(r, how)(axis=0, keepdims=True)
    return np.where((r == r[:1]).all(axis=0), r[:1], r.mean(axis=0, keepdims=True))


class ValueNormaliser:
    """(x - mean) / deviation, by exponential moving averages of returns and of their squares; x itself at first.

    With every update, m <- beta m + (1 - beta) mean x, and likewise s of x^2 and k of 1, all from 0; the mean is m / k
    and the variance s / k - mean^2, at least 0.01.  k = 1 - beta^updates takes off the bias towards 0 of the first
    updates, as in Adam (Kingma and Ba, 2015, section 3).

    Args:
        rows: (1, 3) double that is to hold the state, which then goes on from what it holds; None: a new one of zeros.
        beta: in [0, 1), what is left of the past after an update.

    Attributes:
        rows: m, s and k.  It is the state: assigning into it restores.
    """

    def __init__(self, rows: np.ndarray | None = None, beta: float = 0.99999):
        self.rows = np.zeros((1, 3)) if rows is None else rows
        self._beta = beta

    def update(self, targets: np.ndarray, active: np.ndarray | None = None) -> None:
        """Learn from one batch: `targets` of any shape, those that are `active`; none at all change nothing."""
        x = np.asarray(targets, dtype=float).reshape(-1)
        if active is not None:
            x = x[np.broadcast_to(np.asarray(active, dtype=bool), np.shape(targets)).reshape(-1)]
        if x.size:
            self.rows *= self._beta
            self.rows += (1.0 - self._beta) * np.array([x.mean(), (x * x).mean(), 1.0])

    def _scale(self) -> tuple[float, float]:
        """Mean and deviation."""
        m, s, k = self.rows[0].tolist()
        if not k:
            return 0.0, 1.0
        return m / k, max(s / k - (m / k) ** 2, VARIANCE_FLOOR) ** 0.5

    def normalise(self, x: np.ndarray) -> np.ndarray:
        """Returns -> units of the critic; a new double array of the same shape."""
        mean, deviation = self._scale()
        return (np.asarray(x, dtype=float) - mean) / deviation

    def denormalise(self, x: np.ndarray) -> np.ndarray:
        """Units of the critic -> returns; a new double array of the same shape."""
        mean, deviation = self._scale()
        return np.asarray(x, dtype=float) * deviation + mean


def value_loss(values: np.ndarray, targets: np.ndarray, old: np.ndarray | None = None, clip: float | None = None,
               huber: float | None = None, active: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The loss of a critic, and minus its derivative in every sample's value.

    The loss l of an error e is e^2 / 2 or, beyond `huber` = h, h (|e| - h / 2).  With `clip` = c it is PPO's
    pessimistic one, max(l(target - v), l(target - v_c)) with v_c = old + clip(v - old, -c, c): a value that has moved
    more than c, and has a smaller loss than v_c, is left alone.

    Args:
        values, targets: (..., M), in the same units.
        old: (..., M) values before the iteration; needed with `clip`.
        clip, huber: c and h; None: neither.
        active: samples that count; None: all.

    Returns:
        (..., M) -dL/dv of each sample's own loss (a direction of ascent; no 1/M), 0 where not active, and (...) mean
        losses over the active samples; double.
    """
    v, target = kept(values, active), kept(targets, active)
    losses, pulls = _loss(target - v, huber)
    if clip is not None:
        assert old is not None, "values before the iteration are needed with `clip`"
        then = kept(old, active)
        moved = v - then
        far = np.abs(moved) > clip
        held, _ = _loss(target - (then + np.clip(moved, -clip, clip)), huber)
        stopped = far & (held > losses)
        losses, pulls = np.where(stopped, held, losses), np.where(stopped, 0.0, pulls)
    return kept(pulls, active), average(losses, active)


def _loss(error: np.ndarray, huber: float | None) -> tuple[np.ndarray, np.ndarray]:
    """l(e) and l'(e)."""
    slope = error if huber is None else np.clip(error, -huber, huber)
    return slope * (error - 0.5 * slope), slope
