"""Distributions over finitely many actions: a softmax of outputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

Parts = tuple[np.ndarray, np.ndarray | None]     # of the outputs, and of log standard deviations beside them
_BLOCK = 2**16       # logits of several agents that are worked on at a time, so that they stay in the cache


def choose(logits: np.ndarray, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Softmax probabilities, and actions drawn by inverting their distribution function.

    Args:
        logits: (..., A).
        uniforms: (..., M) numbers in [0, 1), M draws for each row of logits.

    Returns:
        (..., A) probabilities and (..., M) actions.
    """
    if logits.size <= _BLOCK or logits.ndim < 2 or len(logits) == 1:
        probabilities, below, total = _cumulated(logits)
        return probabilities, _inverted(below, total, uniforms)
    n, step = len(logits), max(1, _BLOCK * len(logits) // logits.size)
    uniforms = np.broadcast_to(uniforms, (n, *uniforms.shape[1:]))
    probabilities = np.empty(logits.shape, logits.dtype)
    rows = np.broadcast_shapes(logits.shape[:-1], uniforms.shape[:-1])
    actions = np.empty((*rows, uniforms.shape[-1]), dtype=np.intp)
    for first in range(0, n, step):
        part = slice(first, first + step)
        probabilities[part], actions[part] = choose(logits[part], uniforms[part])
    return probabilities, actions


def _cumulated(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (..., A), the distribution function times the total of all masses (..., A), and that total."""
    row = logits.size == logits.shape[-1]
    top = np.maximum.reduce(logits, axis=-1, keepdims=True)
    mass = logits - (top.reshape(()) if row else top)
    np.exp(mass, mass)
    below = np.add.accumulate(mass, axis=-1)
    total = below[..., -1:].reshape(()) if row else below[..., -1:].copy()    # NumPy divides by 0-d arrays much faster
    mass /= total
    return mass, below, total


def _inverted(below: np.ndarray, total: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """(..., M) actions, the first whose mass together with that of those before it is more than u times the total."""
    at = uniforms * total     # strictly under the last entry, since u < 1
    if uniforms.shape[-1] == 1:
        return (below > (at.reshape(()) if below.size == below.shape[-1] else at)).argmax(axis=-1)[..., None]
    return np.add.reduce(below[..., :-1, None] <= at[..., None, :], axis=-2)


def logit_score_norms(pi: np.ndarray) -> np.ndarray:
    """|d log pi(a) / d logits|^2 = 1 - 2 pi_a + sum_b pi_b^2 of every action a: (..., A) -> (..., A)."""
    pi = np.asarray(pi, dtype=float)
    squares = pi * pi
    return (1.0 - pi) ** 2 + np.maximum(squares.sum(axis=-1, keepdims=True) - squares, 0.0)


def product_tv(tvs: np.ndarray, kl: np.ndarray) -> np.ndarray:
    """Upper bound of the total variation of products of d independent parts, from that of each, (..., d), and their KL.

    It is the smaller of 1 - prod_j (1 - TV_j), from coupling every part as well as it can be by itself (which is never
    more than the sum of the TV_j), and Pinsker's sqrt(KL / 2).
    """
    return np.minimum(1.0 - np.prod(1.0 - tvs, axis=-1), np.sqrt(0.5 * kl))


def _taken(actions: np.ndarray, n_actions: int) -> np.ndarray:
    """(...) -> (..., A) bool, true where the action was taken; in memory A numbers of all samples after each other."""
    if not actions.ndim:
        return actions == np.arange(n_actions)
    return (actions[..., None, :] == np.arange(n_actions)[:, None]).swapaxes(-1, -2)


@dataclass(frozen=True)
class Categorical:
    """pi(a) proportional to exp(logits[a]); see `netac.agents.distributions`.

    Actions are whole numbers (...,); a logit of -inf is that of an action which is never taken.

    Attributes:
        logits: (..., A), double.
        allowed: (..., A) bool, which actions may be taken, at least one in each row; None: all.
    """

    logits: np.ndarray
    allowed: np.ndarray | None = None

    def mask(self, allowed: np.ndarray) -> Categorical:
        """The distribution given that the action is one of those allowed, (..., A) bool, at least one in each row.

        The others have probability 0; scores and curvature are 0 in their logits.
        """
        allowed = np.broadcast_to(allowed, self.logits.shape)
        return Categorical(np.where(allowed, self.logits, -np.inf), allowed)

    @cached_property
    def _shifted(self) -> np.ndarray:
        return self.logits - np.maximum.reduce(self.logits, axis=-1, keepdims=True)

    @cached_property
    def _mass(self) -> np.ndarray:
        return np.exp(self._shifted)

    @cached_property
    def _total(self) -> np.ndarray:
        return np.add.reduce(self._mass, axis=-1, keepdims=True)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(..., A)."""
        return self._mass / self._total

    @cached_property
    def log_probabilities(self) -> np.ndarray:
        """(..., A)."""
        return self._shifted - np.log(self._total)

    @property
    def _finite_logs(self) -> np.ndarray:
        """`log_probabilities`, of actions that are never taken the least number: times 0 it is 0."""
        return np.maximum(self.log_probabilities, np.finfo(float).min)

    def sample(self, uniforms: np.ndarray) -> np.ndarray:
        """(..., 1 or more) in [0, 1), of which the first is used -> (...,)."""
        below = np.add.accumulate(self._mass, axis=-1)
        return _inverted(below, below[..., -1:], uniforms[..., :1])[..., 0]

    def mode(self) -> np.ndarray:
        """(...,): the first of the most probable actions."""
        return self.probabilities.argmax(axis=-1)

    def log_prob(self, actions: np.ndarray) -> np.ndarray:
        """(...,) -> (...,)."""
        return np.take_along_axis(self.log_probabilities, actions[..., None], axis=-1)[..., 0]

    def entropy(self) -> np.ndarray:
        """(...,), exact."""
        return -(self.probabilities * self._finite_logs).sum(axis=-1)

    def kl(self, other: Categorical) -> np.ndarray:
        """sum_a p_a (log p_a - log q_a), exact; infinite where the other never does what this one may do."""
        p, log_p, log_q = self.probabilities, self.log_probabilities, other.log_probabilities
        with np.errstate(invalid="ignore"):                 # of two actions that are never taken
            difference = np.where(p > 0, log_p - log_q, 0.0)
        return np.maximum((p * difference).sum(axis=-1), 0.0)

    def tv(self, other: Categorical) -> np.ndarray:
        """sum_a |p_a - q_a| / 2, exact (that of paper 002, proposition 3)."""
        return np.minimum(0.5 * np.abs(self.probabilities - other.probabilities).sum(axis=-1), 1.0)

    def score(self, actions: np.ndarray) -> Parts:
        """d log pi(a) / d logits = 1[a = b] - pi(b), (..., A)."""
        found = -self.probabilities
        found += _taken(np.asarray(actions), self.logits.shape[-1])
        return found if self.allowed is None else np.where(self.allowed, found, 0.0), None

    def pull(self, actions: np.ndarray, weights: np.ndarray, bonus: np.ndarray | None = None) -> Parts:
        """The gradient in the logits, (..., A)."""
        pull, _ = self.score(actions)
        pull *= weights
        if bonus is not None:
            pi, log_pi = self.probabilities, self._finite_logs
            held = pi * log_pi
            np.subtract(log_pi, held.sum(axis=-1, keepdims=True), out=held)
            held *= pi                                      # 0 of actions that are never taken
            held *= bonus
            pull -= held
        return pull, None

    def fisher(self, v: np.ndarray, v_log_std: np.ndarray | None = None) -> Parts:
        """(diag(pi) - pi pi') v, (..., A)."""
        pi = self.probabilities
        return pi * (v - (pi * v).sum(axis=-1, keepdims=True)), None

    def own_actions(self, noise: None) -> None:
        """None: all A actions count, and none is drawn."""

    def own_weights(self, number: int) -> np.ndarray:
        """(..., A): how much each of the agent's own actions counts in a mean over them."""
        return self.probabilities

    def own_score_norms(self, noise: None) -> np.ndarray:
        """(..., A) squared norms of the scores of all actions."""
        return logit_score_norms(self.probabilities)
