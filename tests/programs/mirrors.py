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


class Later:
    """A drift until the policy has moved, which no look at it in advance can tell, as it depends on what it saw."""

    def __init__(self, fails):
        self.fails, self.seen = fails, 0

    def __call__(self, log_ratio, M):
        self.seen += log_ratio.size > 1 and log_ratio.size != 371
        if self.seen > 2:
            if self.fails:
                raise ZeroDivisionError("nothing is left")
            return -(log_ratio**2) - 1.0 + 0.0 * M, log_ratio + 0.0 * M
        return 0.5 * log_ratio**2 + 0.0 * M, log_ratio + 0.0 * M


def later(fails):
    """A drift that ends."""
    return Later(fails)


OUTSIDE = {"nowhere": lambda kl, tv: False, "only itself": lambda kl, tv: not kl.any(),
           "not a truth": lambda kl, tv: kl.mean(), "failing": lambda kl, tv: kl["a"]}


def outside(which):
    """What is no neighbourhood."""
    return OUTSIDE[which]
