"""Pessimistic off-policy evaluation with linear functions, Q(s, a) = phi(s, a)'w, from transitions D (Zhao et al.).

    w_k = argmin_{|w| <= W} phi(s_0, pi_k)'w + c (L_D(w, w, pi_k) - min_w' L_D(w', w, pi_k)),
    L_D(w', w, pi) = mean over D of (phi(s, a)'w' - r - gamma phi(s', pi)'w)^2

With Sigma = mean phi phi', A = mean phi (phi - gamma phi(s', pi))' and b = mean phi r, what c multiplies is
(A w - b)' Sigma^+ (A w - b): 0 for LSTD's w, which is what c = infinity gives (the shortest where there are several).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq

from netac.exact import FiniteMDP

SINGULAR = 1e-10            # eigenvalues below this share of the largest count as 0


@dataclass(frozen=True)
class Data:
    """n transitions of a game with S states and J joint actions, with the features of both.

    Attributes:
        phi: (S, J, d) features.
        s, a, r, after: (n,) states, joint actions, rewards, next states.
    """

    phi: np.ndarray
    s: np.ndarray
    a: np.ndarray
    r: np.ndarray
    after: np.ndarray

    @cached_property
    def sigma(self) -> np.ndarray:
        """(d, d) mean phi phi'."""
        return self._seen.T @ self._seen / len(self.s)

    @cached_property
    def b(self) -> np.ndarray:
        """(d,) mean phi r."""
        return self._seen.T @ self.r / len(self.s)

    @cached_property
    def to(self) -> np.ndarray:
        """(d, S) mean of phi where the next state is s', and 0 elsewhere."""
        return self._seen.T @ np.eye(len(self.phi))[self.after] / len(self.s)

    @cached_property
    def inverse(self) -> np.ndarray:
        """(d, d) Sigma^+."""
        return np.linalg.pinv(self.sigma, rcond=SINGULAR, hermitian=True)

    @property
    def _seen(self) -> np.ndarray:
        return self.phi[self.s, self.a]


def sample(mdp: FiniteMDP, phi: np.ndarray, pairs: np.ndarray, n: int, rng: np.random.Generator) -> Data:
    """n independent transitions: (s, a) ~ `pairs` (S, J), s' ~ P; a reward is 1 with probability r(s, a), else 0."""
    s, a = np.divmod(rng.choice(pairs.size, n, p=pairs.ravel() / pairs.sum()), mdp.joint_actions)
    below = np.cumsum(mdp.P[s, a], axis=-1)
    after = np.minimum((rng.random(n)[:, None] >= below).sum(axis=-1), mdp.states - 1)
    return Data(phi, s, a, (rng.random(n) < mdp.team_reward[s, a]).astype(float), after)


def evaluate(data: Data, pi: np.ndarray, gamma: float, xi: np.ndarray, c: float, radius: float) -> np.ndarray:
    """w_k (d,) of a joint policy pi (S, J); phi(s_0, pi) is a mean over s_0 from xi.

    Args:
        c: infinity: no pessimism.
        radius: W.
    """
    later = np.vecdot(pi[..., None], data.phi, axis=1)      # type: ignore[call-overload]     # NumPy's stub lacks axis
    A = data.sigma - gamma * data.to @ later
    H, g = A.T @ data.inverse @ A, A.T @ data.inverse @ data.b
    return in_ball(H, g if np.isinf(c) else g - (xi @ later) / (2.0 * c), radius)


def in_ball(H: np.ndarray, g: np.ndarray, radius: float) -> np.ndarray:
    """argmin of w'Hw - 2 g'w over |w| <= radius, the shortest where there are several; H is positive semidefinite."""
    eigenvalues, U = np.linalg.eigh(H)
    eigenvalues = np.where(eigenvalues > SINGULAR * max(eigenvalues[-1], 0.0), eigenvalues, 0.0)
    h = U.T @ g
    free = (eigenvalues == 0.0) & (np.abs(h) > SINGULAR * np.abs(h).max())      # directions in which it falls for ever
    h = np.where((eigenvalues > 0.0) | free, h, 0.0)                            # elsewhere it is rounding
    z = np.divide(h, eigenvalues, out=np.zeros_like(h), where=eigenvalues > 0.0)
    if not free.any() and np.linalg.norm(z) <= radius:
        return U @ z

    def longer(log_multiplier: float) -> float:
        return np.log(np.linalg.norm(h / (eigenvalues + np.exp(log_multiplier))) / radius)

    most = np.log(np.linalg.norm(h) / radius)
    return U @ (h / (eigenvalues + np.exp(brentq(longer, most + np.log(1e-14), most + 1e-9, xtol=1e-12))))
