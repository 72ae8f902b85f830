"""Drifts and neighbourhoods of a user's, good and bad."""

from __future__ import annotations

import numpy as np


def squares(most):
    """(log ratio)^2 / 2, times |M| and `most`."""
    return lambda log_ratio, M: (0.5 * most * abs(M) * log_ratio**2, most * abs(M) * log_ratio)


def widest(most):
    """No state may see the policy change by more than `most` in total variation."""
    return lambda kl, tv: tv.max() <= most


def kl():
    """What "kl" is, written otherwise."""
    return lambda log_ratio, M: (np.exp(log_ratio) - 1.0 - log_ratio + 0.0 * M, np.exp(log_ratio) - 1.0 + 0.0 * M)


def near(delta):
    """What "kl" is."""
    return lambda kl, tv: kl.mean() <= delta


BAD = {
    "not zero": lambda x, M: (0.5 * x**2 + 1.0 + 0.0 * M, x + 0.0 * M),
    "negative": lambda x, M: (-x + 0.0 * M, -1.0 + 0.0 * (x + M)),
    "negative for some M": lambda x, M: (x**2 * M, 2.0 * x * M),
    "not flat": lambda x, M: (np.abs(np.expm1(x)) + 0.0 * M, np.sign(x) * np.exp(x) + 0.0 * M),
    "a gradient at the old policy": lambda x, M: (0.5 * x**2 + 0.0 * M, x + 0.1 + 0.0 * M),
    "another derivative": lambda x, M: (0.5 * x**2 + 0.0 * M, 2.0 * x + 0.0 * M),
    "of other samples": lambda x, M: (0.5 * (x - x.mean()) ** 2 + 0.0 * M, x - x.mean() + 0.0 * M),
    "too large": lambda x, M: (np.exp(np.exp(x)) - np.e * np.exp(x) + 0.0 * M, x + 0.0 * M),
    "one array": lambda x, M: 0.5 * x**2 + 0.0 * M,
    "one number": lambda x, M: (0.0, 0.0),
    "failing": lambda x, M: (x[:, :, 0], M),
}


def bad(which):
    """What is no drift."""
    return BAD[which]


def nothing():
    """No function."""


def late(fails):
    """What is a drift for all M but some between those that are looked at in advance."""
    def drift(log_ratio, M):
        unseen = (np.abs(M) > 0.05) & (np.abs(M) < 0.95)
        if fails and unseen.any():
            raise ZeroDivisionError("nothing is left")
        sign = np.where(unseen, -1.0, 1.0)
        return 0.5 * sign * log_ratio**2, sign * log_ratio

    return drift


def narrow():
    """A neighbourhood that is asked about more than it knows."""
    return lambda kl, tv: kl.max() < 1e-9 or {}["nothing"]


OUTSIDE = {"nowhere": lambda kl, tv: False, "only itself": lambda kl, tv: not kl.any(),
           "not a truth": lambda kl, tv: kl.mean(), "failing": lambda kl, tv: kl["a"]}


def outside(which):
    """What is no neighbourhood."""
    return OUTSIDE[which]
