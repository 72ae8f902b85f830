"""Drifts of mirror learning (Kuba et al., 2022): what a surrogate loses as a policy leaves the old one.

A drift here is D(new) = E[d(log ratio, M)] over the old policy's actions, estimated from the samples as the surrogate
is: `d` gives of (..., M) log ratios and M, what the ratios are multiplied with, the values and their derivatives in the
log ratios.  It is a drift functional if it is 0 where the ratio is 1, nowhere negative, and flat there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netac.algorithms.policy_gradient.masks import average, kept
from netac.algorithms.policy_gradient.surrogates import LARGEST_LOG_RATIO, Surrogate, ratios, unclipped

Drift = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

TOLERANCE = 1e-9                 # of rounding, in units of 1 + |M|
NEAR, NEARER = 1e-3, 1e-6        # log ratios between which a drift that is flat at 0 falls by more than they do
_SIZES = np.geomspace(NEARER, 0.97 * LARGEST_LOG_RATIO, 24)
_RATIOS = np.array([0.0, NEAR, -NEAR, NEARER, -NEARER, *_SIZES, *-_SIZES])
_WORTHS = np.array([0.0, 0.03, -0.03, 1.0, -1.0, 47.0, -47.0])


def no_drift(log_ratio: np.ndarray, M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """0: the surrogate is the mean of ratio M itself."""
    nothing = np.zeros(np.broadcast_shapes(np.shape(log_ratio), np.shape(M)))
    return nothing, nothing


def clip_drift(log_ratio: np.ndarray, M: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """max(0, (ratio - clip(ratio, 1 +- epsilon)) M): what clipping takes from ratio M."""
    ratio = ratios(log_ratio)
    free, bound = ratio * M, np.clip(ratio, 1.0 - epsilon, 1.0 + epsilon) * M
    beyond = free > bound
    return np.where(beyond, free - bound, 0.0), np.where(beyond, free, 0.0)


def kl_drift(log_ratio: np.ndarray, M: np.ndarray, coefficient: float) -> tuple[np.ndarray, np.ndarray]:
    """coefficient (ratio - 1 - log ratio), whose mean over the old policy's actions is coefficient KL(old || new)."""
    log_ratio = np.clip(log_ratio, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO) + 0.0 * M
    slope = np.expm1(log_ratio)
    return coefficient * (slope - log_ratio), coefficient * slope


def mirrored(log_ratio: np.ndarray, M: np.ndarray, active: np.ndarray | None = None, *, drift: Drift) -> Surrogate:
    """mean of ratio M - d(log ratio, M).

    Args:
        log_ratio, M, active: as in `netac.algorithms.policy_gradient.surrogates.clipped`.
    """
    log_ratio, M = kept(log_ratio, active), kept(M, active)
    whole, (values, slopes) = unclipped(log_ratio, M, active), drift(log_ratio, M)

    def measure() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        lost = average(values, active)
        return whole.value - lost, whole.improvement - lost, whole.outside

    return Surrogate(kept(whole.weights - slopes, active), measure)


def fault(drift: Drift) -> str | None:
    """Why a function is no drift, found on samples of log ratios up to +-29 and M up to +-47; None if it is one."""
    log_ratio, M = (each.reshape(1, -1) for each in np.meshgrid(_RATIOS, _WORTHS, indexing="ij"))
    found = drift(log_ratio, M)
    if problem := wrong(found, log_ratio, M):
        return problem
    values, slopes = found
    for k in range(0, M.size, 5):
        one = log_ratio[:, k:k + 1], M[:, k:k + 1]
        if problem := wrong(alone := drift(*one), *one):
            return problem
        if not all(np.allclose(each, all_of_them[:, k:k + 1], rtol=1e-9, atol=TOLERANCE)
                   for each, all_of_them in zip(alone, found, strict=True)):
            return "it gives other numbers for samples together than one by one, or when it is called again"
    allowed, old = TOLERANCE * (1.0 + np.abs(M)), log_ratio == 0.0
    if (off := old & (np.abs(values) > allowed)).any():
        return f"at the old policy it is {_first(values, off)}, not 0 ({_where(log_ratio, M, off)})"
    of = values.reshape(len(_RATIOS), -1)                   # rows as in `_RATIOS`, of which the first are 0, NEAR, ...
    steep = of[3:5] / NEARER > 0.5 * of[1:3] / NEAR + np.sqrt(TOLERANCE)
    if steep.any() or (off := old & (np.abs(slopes) > allowed)).any():
        return "its gradient is not 0 at the old policy, where the ratio is 1"
    away = np.abs(log_ratio) >= NEAR
    step = np.where(away, 1e-4 * log_ratio, 1.0)
    above, below = (drift(log_ratio + sign * step, M)[0] for sign in (1.0, -1.0))
    measured = (above - below) / (2.0 * step)
    if (off := away & (np.abs(measured - slopes) > 1e-4 * (1.0 + np.abs(M) + np.abs(slopes) + np.abs(values)))).any():
        return (f"its second array is not the first one's derivative in the log ratio: {_first(slopes, off)}, where "
                f"differences give {_first(measured, off)} ({_where(log_ratio, M, off)})")
    return None


def wrong(found: object, log_ratio: np.ndarray, M: np.ndarray) -> str | None:
    """What no drift gives at any samples; None if there is nothing of it."""
    shape = np.broadcast_shapes(log_ratio.shape, M.shape)
    if not isinstance(found, tuple) or len(found) != 2 or any(
            not isinstance(each, np.ndarray) or each.shape != shape or each.dtype != float for each in found):
        return "it does not give two double arrays of its arguments' shape, values and derivatives in the log ratio"
    values, slopes = found
    if (off := ~np.isfinite(values) | ~np.isfinite(slopes)).any():
        return f"it is not finite ({_where(log_ratio, M, off)})"
    if (off := values < -TOLERANCE * (1.0 + np.abs(M))).any():
        return f"it is negative, {_first(values, off)} ({_where(log_ratio, M, off)})"
    return None


def _first(numbers: np.ndarray, among: np.ndarray) -> str:
    return f"{numbers[among][0]:.3g}"


def _where(log_ratio: np.ndarray, M: np.ndarray, off: np.ndarray) -> str:
    """The first sample that is `off`, in words."""
    at = [float(np.broadcast_to(each, off.shape)[off][0]) for each in (log_ratio, M)]
    return f"log ratio {at[0]:.3g}, M {at[1]:.3g}"
