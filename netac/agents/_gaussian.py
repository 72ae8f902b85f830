"""Normal distributions whose coordinates are independent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from netac.agents._categorical import Parts, product_tv
from netac.utils.streams import normal

HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


def normal_score_norms(z: np.ndarray, log_std: np.ndarray) -> np.ndarray:
    """|d log pi(a) / d (mean, log std)|^2 = sum_j z_j^2 / std_j^2 + (z_j^2 - 1)^2 of actions a = mean + std z.

    Args:
        z: (..., K, d) z-scores of K actions.
        log_std: (..., d).

    Returns:
        (..., K).
    """
    squares = np.asarray(z, dtype=float) ** 2
    return (squares * np.exp(-2.0 * np.asarray(log_std, dtype=float))[..., None, :] + (squares - 1.0) ** 2).sum(axis=-1)


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, exp(log_std)^2), coordinate by coordinate; see `netac.agents.distributions`.

    Actions are vectors (..., d).

    Attributes:
        mean: (..., d), double: the outputs.
        log_std: double, of a shape that broadcasts to that of the mean.
    """

    mean: np.ndarray
    log_std: np.ndarray

    @property
    def probabilities(self) -> None:
        """There are none of vectors."""

    def mask(self, allowed: np.ndarray) -> DiagonalGaussian:
        """Itself, since vectors have no mask.

        Raises:
            TypeError: `allowed` is false anywhere.
        """
        if np.all(allowed):
            return self
        raise TypeError("a mask says which of finitely many actions are allowed; these are vectors")

    def sample(self, uniforms: np.ndarray) -> np.ndarray:
        """(..., d or more) in [0, 1) -> (..., d)."""
        return self.mean + np.exp(self.log_std) * normal(uniforms[..., :self.mean.shape[-1]])

    def mode(self) -> np.ndarray:
        """(..., d): the mean."""
        return self.mean

    def log_prob(self, actions: np.ndarray) -> np.ndarray:
        """Logarithm of the density, (..., d) -> (...,)."""
        z = (actions - self.mean) * np.exp(-self.log_std)
        return -0.5 * np.vecdot(z, z) - (self.log_std + HALF_LOG_2_PI).sum(axis=-1)

    def entropy(self) -> np.ndarray:
        """Of the density, (...,), exact."""
        return np.full(self.mean.shape[:-1], (self.log_std + 0.5 * np.log(2.0 * np.pi * np.e)).sum(axis=-1))

    def kl(self, other: DiagonalGaussian) -> np.ndarray:
        """(...,), exact.

        With u = log std - log other std and z = (mean - other mean) / other std it is
        sum_j (expm1(2 u_j) - 2 u_j + z_j^2) / 2, in which nothing cancels when the two are near.
        """
        u = self.log_std - other.log_std
        z = (self.mean - other.mean) * np.exp(-other.log_std)
        return np.maximum(0.5 * (np.expm1(2.0 * u) - 2.0 * u + z * z).sum(axis=-1), 0.0)

    def tv(self, other: DiagonalGaussian) -> np.ndarray:
        """(...,) in [0, 1]: exact for d = 1, an upper bound for d > 1, see `product_tv`."""
        return product_tv(self._line_tv(other), self.kl(other))

    def _line_tv(self, other: DiagonalGaussian) -> np.ndarray:
        """Of the coordinates by themselves, exact, (..., d).

        In units of the narrower one, N(0, 1), the other is N(m, 1/t^2), m >= 0, t <= 1.  The narrower one's density is
        the larger between the roots of (1 - t^2) x^2 + 2 m t^2 x - (m^2 t^2 - 2 log t) = 0, so TV is the difference of
        their masses there; for t = 1 the lower root is at -infinity.
        """
        from scipy.special import ndtr
        u = np.abs(self.log_std - other.log_std)
        m = np.abs(self.mean - other.mean) * np.exp(-np.minimum(self.log_std, other.log_std))
        t, a, mt = np.exp(-u), -np.expm1(-2.0 * u), m * np.exp(-u)
        q = mt * t + np.hypot(mt, np.sqrt(2.0 * a * u))   # minus half of b + sqrt(b^2 - 4 a c): nothing cancels
        same, level = q == 0, a == 0
        low = np.where(level, -np.inf, -q / np.where(level, 1.0, a))
        high = (mt * mt + 2.0 * u) / np.where(same, 1.0, q)
        inside = ndtr(high) - ndtr(low) - (ndtr((high - m) * t) - ndtr((low - m) * t))
        return np.where(same, 0.0, np.clip(inside, 0.0, 1.0))

    def score(self, actions: np.ndarray) -> Parts:
        """d log pi(a) / d mean, and / d log_std, (..., d) each."""
        deviation, variance = actions - self.mean, np.exp(2.0 * self.log_std)
        return deviation / variance, deviation**2 / variance - 1.0

    def pull(self, actions: np.ndarray, weights: np.ndarray, bonus: np.ndarray | None = None) -> Parts:
        """The gradient in mean and log_std, (..., d) each."""
        deviation, variance = actions - self.mean, np.exp(2.0 * self.log_std)
        beside = weights * (deviation**2 / variance - 1.0)
        return weights * deviation / variance, beside if bonus is None else beside + bonus

    def fisher(self, v: np.ndarray, v_log_std: np.ndarray) -> Parts:
        """It is diagonal, 1 / std^2 and 2: v / std^2, (..., d), and 2 v_log_std, of the shape of v_log_std."""
        return v * np.exp(-2.0 * self.log_std), 2.0 * v_log_std

    def own_actions(self, noise: np.ndarray) -> np.ndarray:
        """mean + std z of standard normal z (..., K, d): (..., K, d)."""
        return self.mean[..., None, :] + np.exp(self.log_std)[..., None, :] * noise

    def own_weights(self, number: int) -> np.ndarray:
        """(..., K): each of K drawn actions counts as much."""
        return np.full((*self.mean.shape[:-1], number), 1.0 / max(1, number))

    def own_score_norms(self, noise: np.ndarray) -> np.ndarray:
        """(..., K) squared norms of the scores of `own_actions(noise)`."""
        return normal_score_norms(noise, self.log_std)
