"""Hessians of the KL divergence of a policy from itself, in its outputs, times a vector."""

from __future__ import annotations

import numpy as np


def categorical_fisher(pi: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(diag(pi) - pi pi') x, the Hessian of KL(pi || .) in the logits, at pi, times x: (..., A), (..., A) -> (..., A)."""
    pi = np.asarray(pi, dtype=float)
    return pi * (x - np.vecdot(pi, x)[..., None])


def normal_fisher(log_std: np.ndarray, dmean: np.ndarray, dlog_std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Hessian of the KL of a diagonal normal distribution in mean and log std, at itself, times (dmean, dlog_std).

    It is diagonal, 1 / std^2 and 2.  Shapes broadcast to (..., d), and so are both parts of the product.
    """
    return dmean * np.exp(-2.0 * np.asarray(log_std, dtype=float)), 2.0 * np.asarray(dlog_std, dtype=float)
