"""What algorithms ask of agents' functions and of batches, whether features or networks are behind them.

A batch `b` is of the kind that the functions' own sampler draws: `TabularBatch` for linear ones, `Transitions` for
networks.  Parameters carry a leading axis "agents of this process" (n), values are (n, M) for a batch of M samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, Self

import numpy as np

LEFT_OUT: Any = None      # in the place of an array of a batch that nobody asks for, so that nobody reads it


class Batch(Protocol):
    """M joint samples (s, a, r, s'), seen by the n agents of this process.

    Attributes:
        r: (n, M) rewards.
        sample_weight: (n, M) weights that make means over M samples means over those the agent took part in; None where
            all did.
    """

    @property
    def r(self) -> np.ndarray: ...

    @property
    def sample_weight(self) -> np.ndarray | None: ...

    def discounted(self, advantages: np.ndarray) -> np.ndarray:
        """Advantages (n, M) as they weigh in the policies' gradient: times gamma^t, where that is asked for."""

    def parts(self, size: int) -> Iterator[Self]:
        """Samples 0, ..., size - 1, then the next `size`, to the end; M is a multiple of `size`."""


class DifferentiablePolicy(Protocol):
    """pi_i(a|s; theta_i) of the agents of this process."""

    def gradient(self, theta: np.ndarray, b: Any, weights: np.ndarray, /) -> np.ndarray:
        """sum_e weights[i, e] grad log pi_i(a_e|s_e), (n, d)."""

    def score_products(self, theta: np.ndarray, b: Any, h: np.ndarray, /) -> np.ndarray:
        """grad log pi_i(a_e|s_e)'h_i for every sample e, (n, M)."""


class RewardFunction(Protocol):
    """R_i(s, a), the agents' estimates of the team-mean reward."""

    def __call__(self, lam: np.ndarray, b: Any, /) -> np.ndarray:
        """R_i(s, a), (n, M)."""

    def gradient(self, lam: np.ndarray, b: Any, weights: np.ndarray, /) -> np.ndarray:
        """sum_e weights[i, e] grad R_i(s_e, a_e), (n, L)."""


class ValueFunction(Protocol):
    """V_i(s), or Q_i(s, a) of the joint action."""

    def __call__(self, omega: np.ndarray, b: Any, /) -> np.ndarray:
        """Of s, (n, M)."""

    def next(self, omega: np.ndarray, b: Any, /) -> np.ndarray:
        """Of s', (n, M)."""

    def gradient(self, omega: np.ndarray, b: Any, weights: np.ndarray, /) -> np.ndarray:
        """sum_e weights[i, e] grad of the value of sample e, (n, K)."""


class ActionValueFunction(ValueFunction, Protocol):
    """Q_i(s, a) of the joint action."""

    def expected(self, omega: np.ndarray, b: Any, /) -> np.ndarray:
        """sum_b pi_i(b|s) Q_i(s, b, a_-i), (n, M): what agent i expects over its own action alone."""
