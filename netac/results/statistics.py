"""Estimates over seeds with their uncertainty: interquartile mean, bootstrap intervals, rates."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval: floats, or arrays of one shape."""

    estimate: Any
    low: Any
    high: Any


def iqm(x: np.ndarray, axis: int = 0) -> Any:
    """Interquartile mean: the mean of the middle half of the values along `axis`.

    A float for x of one axis, else an array.  Weights are exact: sorted value k of n covers [k/n, (k+1)/n] and weighs
    as much as of that lies in [1/4, 3/4].  Where 4 divides n this is the 25 % trimmed mean; n = 1 and 2 give the mean,
    n = 3 the weights 1/6, 2/3, 1/6.  A NaN or infinite value makes the result NaN.

    Raises:
        ValueError: there are no values.
    """
    ordered = np.sort(np.moveaxis(np.asarray(x, dtype=float), axis, -1), axis=-1)
    n = ordered.shape[-1]
    if n == 0:
        raise ValueError("the interquartile mean needs at least one value")
    result = _middle_mean(ordered, np.ones((1, n), dtype=int))[..., 0]
    return float(result) if np.ndim(result) == 0 else result


def iqm_interval(x: np.ndarray, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Interquartile mean over seeds with its percentile bootstrap interval; the same input gives the same answer.

    Args:
        x: shape (seeds,) or (seeds, points); the points' intervals hold one by one, not jointly.
        level: share of repetitions in which the interval should cover the truth.  With fewer than about ten seeds it
            covers less; with one seed it has no width.
        resamples: how many times the seeds are drawn anew, with replacement.
        seed: of these draws.

    Returns:
        floats for x of shape (seeds,), arrays of shape (points,) otherwise.

    A resample is a draw of n ranks, so in a point's sorted values it weighs rank k by the part of [1/4, 3/4] its copies
    cover.  These weights are the same for all points: the whole bootstrap is one matrix product.
    """
    values = np.asarray(x, dtype=float)
    estimate = iqm(values, axis=0)
    n = len(values)
    if n == 1:
        return Interval(estimate, estimate, estimate)
    copies = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    estimates = _middle_mean(np.sort(values.T, axis=-1), copies)
    low, high = np.quantile(estimates, [(1 - level) / 2, (1 + level) / 2], axis=-1)
    return Interval(estimate, low, high) if values.ndim > 1 else Interval(estimate, float(low), float(high))


def mean_interval(x: np.ndarray, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Mean of values (n,) with its percentile bootstrap interval; the same input gives the same answer.

    Args:
        level, resamples, seed: as in `iqm_interval`.

    Raises:
        ValueError: there are no values.
    """
    values = np.sort(np.asarray(x, dtype=float))
    n = len(values)
    if n == 0:
        raise ValueError("the mean needs at least one value")
    copies = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    means = np.clip(copies @ values / n, values[0], values[-1])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.clip(values.mean(), values[0], values[-1])), float(low), float(high))


def standard_error(x: np.ndarray) -> float:
    """Of the mean of x (M,); 0 for a single value."""
    return float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else 0.0


def improvement_interval(x: np.ndarray, y: np.ndarray, level: float = 0.95, resamples: int = 2000,
                         seed: int = 0) -> Interval:
    """Probability that a value drawn from x is above one drawn from y, a tie counting half, with its percentile
    bootstrap interval: x and y are drawn anew, each by itself; the same input gives the same answer.

    Args:
        x, y: of shapes (n,) and (m,).
        level, resamples, seed: as in `iqm_interval`.

    Raises:
        ValueError: there are no values.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if not len(x) or not len(y):
        raise ValueError("a probability of improvement needs values on both sides")
    above = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    rng = np.random.default_rng(seed)
    of_x, of_y = (rng.multinomial(len(z), np.full(len(z), 1 / len(z)), size=resamples) / len(z) for z in (x, y))
    found = np.einsum("ri,ij,rj->r", of_x, above, of_y, optimize=True)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(above.mean()), float(low), float(high))


def rate_interval(successes: np.ndarray, level: float = 0.95) -> Interval:
    """Share of True in `successes`, shape (runs,), with its Wilson score interval.

    Raises:
        ValueError: there are no runs.
    """
    outcomes = np.asarray(successes, dtype=bool)
    n = outcomes.size
    if n == 0:
        raise ValueError("a rate needs at least one run")
    from scipy.stats import binomtest
    rate, wilson = float(outcomes.mean()), binomtest(int(outcomes.sum()), n).proportion_ci(level, method="wilson")
    return Interval(rate, 0.0 if rate == 0 else float(wilson.low), 1.0 if rate == 1 else float(wilson.high))


def _middle_mean(ordered: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Interquartile means of samples that hold sorted value k copies[j, k] times.

    Args:
        ordered: shape (..., n), sorted along the last axis.
        copies: shape (samples, n), integers; each row sums to n.

    Returns:
        shape (..., samples).  In units of 1/(4n) all weights are whole numbers, so equal whole numbers give themselves.
    """
    n = ordered.shape[-1]
    covered = np.concatenate([np.zeros((len(copies), 1), dtype=int), 4 * np.cumsum(copies, axis=1)], axis=1)
    weights = np.diff(np.clip(covered, n, 3 * n), axis=1)
    means = np.where(np.isfinite(ordered), ordered, np.nan) @ weights.T / (2 * n)
    return np.clip(means, ordered[..., :1], ordered[..., -1:])
