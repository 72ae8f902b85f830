"""Softmax policies over discrete actions, for all agents of a process at once.

theta is (n, d), shared coordinates first: theta_i = (theta_i^s, theta_i^p).  Which coordinates are shared is chosen by
patterns of their names; with all or none shared the order is the natural one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache

import numpy as np

from netac.agents.critics import weighted_sum
from netac.agents.tabular_batch import TabularBatch
from netac.utils.errors import InputError


@lru_cache(maxsize=8)
def _onehot(actions: int) -> np.ndarray:
    return np.eye(actions)


class _Softmax:
    """What the two parametrizations share: gradients through the logits, dl = 1[a = b] - pi(b|s)."""

    def logits(self, theta: np.ndarray, states: np.ndarray) -> np.ndarray:
        """(n, d), (M,) -> (n, M, A)."""
        raise NotImplementedError

    @staticmethod
    def logit_weights(b: TabularBatch, weights: np.ndarray) -> np.ndarray:
        """(n, M) weights -> (n, M, A): the weighted derivative of log pi_i(a_e|s_e) with respect to the logits."""
        weight = weights.reshape(()) if weights.size == 1 else weights[:, :, None]
        pull = _onehot(b.pi.shape[2]).take(b.own, axis=0)
        pull -= b.pi
        pull *= weight
        return pull

    def score_products(self, theta: np.ndarray, b: TabularBatch, h: np.ndarray) -> np.ndarray:
        """grad log pi_i(a_e|s_e)'h_i for every sample e, (n, M)."""
        rows = self.logits(h, b.states)
        return np.take_along_axis(rows, b.own[:, :, None], axis=2)[:, :, 0] - np.vecdot(b.pi, rows)


@dataclass(frozen=True)
class Tabular(_Softmax):
    """pi(a|s) proportional to exp(theta[s, a]); d = S A, coordinates named "s0.a0", "s0.a1", ...

    Attributes:
        order: (d,) natural index of each stored coordinate, None for the natural order.
    """

    states: int
    actions: int
    shared: int
    order: np.ndarray | None = None

    @property
    def size(self) -> int:
        """d."""
        return self.states * self.actions

    def of(self, agents: range) -> Tabular:
        """The policies of some of the agents."""
        return self

    def logits(self, theta: np.ndarray, states: np.ndarray) -> np.ndarray:
        """(n, d), (M,) -> (n, M, A)."""
        if self.order is not None:
            natural = np.empty_like(theta)
            natural[:, self.order] = theta
            theta = natural
        table = theta.reshape(len(theta), self.states, self.actions)
        return table if self.states == 1 and len(states) == 1 else table[:, states]

    def gradient(self, theta: np.ndarray, b: TabularBatch, weights: np.ndarray) -> np.ndarray:
        """sum_e weights[i, e] grad log pi_i(a_e|s_e), (n, d)."""
        pull = self.logit_weights(b, weights)
        if self.states == 1:
            gradient = pull.sum(axis=1) if pull.shape[1] > 1 else pull[:, 0]
        else:
            gradient = np.zeros((len(theta), self.states, self.actions))
            if pull.shape[1] == 1:
                gradient[:, b.states] = pull
            else:
                np.add.at(gradient, (np.arange(len(theta))[:, None], b.states[None, :]), pull)
            gradient = gradient.reshape(len(theta), self.size)
        return gradient if self.order is None else gradient[:, self.order]


@dataclass(frozen=True)
class LogLinear(_Softmax):
    """pi(a|s) proportional to exp(x(s,a)'theta); coordinates named "f0", "f1", ...

    Attributes:
        features: (1, S, A, d) the same for all agents, or (n, S, A, d) agent by agent; stored order.
    """

    features: np.ndarray
    shared: int

    @property
    def size(self) -> int:
        """d."""
        return self.features.shape[-1]

    def of(self, agents: range) -> LogLinear:
        """The policies of some of the agents."""
        return self if len(self.features) == 1 else replace(self, features=self.features[agents.start:agents.stop])

    def logits(self, theta: np.ndarray, states: np.ndarray) -> np.ndarray:
        """(n, d), (M,) -> (n, M, A)."""
        return np.vecdot(self.features[:, states], theta[:, None, None, :])

    def gradient(self, theta: np.ndarray, b: TabularBatch, weights: np.ndarray) -> np.ndarray:
        """sum_e weights[i, e] grad log pi_i(a_e|s_e), (n, d)."""
        pull = self.logit_weights(b, weights).reshape(len(theta), -1)
        rows = self.features[:, b.states].reshape(len(self.features), -1, self.size)
        if len(rows) == 1:
            return weighted_sum(pull, rows[0])
        return np.matmul(pull[:, None, :], rows)[:, 0]


def shared_first(names: Sequence[str], patterns: Sequence[str], key: str = "policy.shared") -> tuple[np.ndarray, int]:
    """Order coordinates so that those whose name matches one of `patterns` come first.

    Returns:
        (d,) natural index of each stored coordinate, and the number of shared ones.

    Raises:
        InputError: a pattern matches no name.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            raise InputError("the pattern matches no parameter", key=key, found=pattern,
                             valid=f'patterns of the names {shown}, "*" for all, [] for none')
    chosen = np.array([any(fnmatchcase(name, pattern) for pattern in patterns) for name in names])
    return np.concatenate([np.flatnonzero(chosen), np.flatnonzero(~chosen)]), int(chosen.sum())
