"""Power laws through means over seeds: log-log slopes with 95 % intervals, and the floor that an error ends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from netac.results.statistics import Interval

SLOPES = np.linspace(-3.0, -0.02, 150)      # where the search for a floored fit's slope begins
LEVEL = (0.025, 0.975)


@dataclass(frozen=True)
class PowerLaw:
    """y = floor + constant T^slope.

    Attributes:
        slope, floor: with 95 % intervals.  These cover the randomness of the seeds, not how far y is from a power law:
            see `local_slopes` for that.
        constant: what T^slope is multiplied by.
    """

    slope: Interval
    constant: float
    floor: Interval


def power_law(T: Sequence[float], samples: Sequence[np.ndarray], floored: bool = False, draws: int = 400,
              seed: int = 0) -> PowerLaw:
    """The power law nearest to the means of `samples`.

    Without a floor it is the straight line through log y and log T; with one, the y = f + c T^s of least squared
    *relative* deviations, where f >= 0, c >= 0, -3 <= s < 0.  The intervals are from a parametric bootstrap: `draws`
    times the means are drawn as mean x exp(e t), with e a mean's relative standard error and t Student's with
    seeds - 1 degrees of freedom, and fitted again.

    Args:
        T: (n,) at least three.
        samples: for every T positive values, one a seed, at least two.

    Raises:
        ValueError: there are too few, or not positive ones.
    """
    lengths, means = np.asarray(T, dtype=float), np.array([np.mean(values) for values in samples])
    seeds = np.array([len(values) for values in samples])
    if len(lengths) < 3 or seeds.min() < 2 or not (means > 0).all():
        raise ValueError("a fit needs three T with two positive values each")
    errors = np.array([np.std(values, ddof=1) for values in samples]) / np.sqrt(seeds) / means
    t = np.random.default_rng(seed).standard_t(seeds - 1, size=(draws, len(lengths)))
    fit = _floored if floored else _line
    slope, constant, floor = fit(lengths, means)
    again = np.array([fit(lengths, y) for y in means * np.exp(np.clip(errors * t, -20.0, 20.0))])
    return PowerLaw(_interval(slope, again[:, 0]), constant, _interval(floor, again[:, 2]))


def local_slopes(T: Sequence[float], means: np.ndarray) -> np.ndarray:
    """(n - 1,) the slope from each T to the next."""
    return np.diff(np.log(means)) / np.diff(np.log(T))


def _interval(estimate: float, again: np.ndarray) -> Interval:
    low, high = np.quantile(again, LEVEL)
    return Interval(float(estimate), float(min(low, estimate)), float(max(high, estimate)))


def _line(T: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    slope, intercept = np.polyfit(np.log(T), np.log(y), 1)
    return float(slope), float(np.exp(intercept)), 0.0


def _floored(T: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """slope, constant, floor: the slope by a search that starts on a grid, the other two by linear least squares."""
    best = int(_at_slopes(SLOPES, T, y)[0].argmin())
    around = SLOPES[max(best - 1, 0)], SLOPES[min(best + 1, len(SLOPES) - 1)]
    slope = float(minimize_scalar(lambda s: _at_slopes(np.array([s]), T, y)[0][0], bounds=around, method="bounded",
                                  options={"xatol": 1e-6}).x)
    _, floor, constant = _at_slopes(np.array([slope]), T, y)
    return slope, float(constant[0]), float(floor[0])


def _at_slopes(slopes: np.ndarray, T: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every slope the squared relative deviations of the best f + c T^slope with f, c >= 0, and these f and c."""
    one, power = 1.0 / y, (T / T[0]) ** slopes[:, None] / y            # f and c times these should be 1 everywhere
    a, b, d = one @ one, power @ one, np.vecdot(power, power)
    e, g = one.sum(), power.sum(axis=1)
    determinant = np.maximum(a * d - b**2, 1e-300)
    f, c = (d * e - b * g) / determinant, (a * g - b * e) / determinant
    f, c = np.where(f < 0, 0.0, np.where(c < 0, e / a, f)), np.where(f < 0, g / d, np.where(c < 0, 0.0, c))
    deviations = f[:, None] * one + c[:, None] * power - 1.0
    return np.square(deviations).sum(axis=1), f, c / T[0] ** slopes
