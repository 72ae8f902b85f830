"""Second moments of CAC's critics while policies stand still: exact, transient and in the long run.

All agents see the same s and s', and W is doubly stochastic, so CAC's lines 4, 6 and 7 are, for the agents' mean and,
if W is normal (as symmetric and circulant matrices are), for the weights omega_i combined by any of its other
eigenvectors v of length 1, which may be complex, to v^H omega,

    x <- keep x + beta (A x + rho phi(s)),      A = phi(s) (gamma phi(s') - phi(s))',

with `keep` the eigenvalue, 1 for the mean, and rho what is then combined of the agents' rewards; the reward model
(line 8) is the same with gamma = 0.  x of the mean being its distance from the TD fixed point omega*, rho is
r-bar + (gamma phi(s') - phi(s))'omega*.  E[(1, x) (1, x)^H 1{s_t = s}] for all s then follows a linear recursion, in
which rho counts by its mean and mean square given s and s'.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netac.exact import stationary_distribution


@dataclass(frozen=True, eq=False)
class StandingCritics:
    """What moves critics while policies stand still.

    Attributes:
        P: (S, S') the chain.
        phi: (S, K) features.
        gamma: discount; 0 for a reward model of the same features.
        step: beta, or zeta.
        running: whether s' is where the next sample begins (`sampling = "markov"`); else each begins anew
            ("stationary").
    """

    P: np.ndarray
    phi: np.ndarray
    gamma: float
    step: float
    running: bool = True

    def fixed_point(self, reward: np.ndarray) -> np.ndarray:
        """(K,) where the mean converges to, of mean rewards (S, S')."""
        mu = stationary_distribution(self.P)
        weighted = (mu[:, None] * self.phi).T
        return np.linalg.solve(weighted @ (self.phi - self.gamma * self.P @ self.phi),
                               weighted @ (self.P * reward).sum(axis=1))

    def difference(self, omega: np.ndarray) -> np.ndarray:
        """(S, S') (gamma phi(s') - phi(s))'omega."""
        V = self.phi @ omega
        return self.gamma * V - V[:, None]

    def recursion(self, keep: complex, mean: np.ndarray, square: np.ndarray) -> np.ndarray:
        """(S (K + 1)^2,) squared: the matrix that takes the moments of x from one iteration to the next.

        Args:
            mean, square: (S, S') E rho and E |rho|^2.
        """
        S, size = len(self.P), self.phi.shape[1] + 1
        after = np.eye(S) if self.running else np.tile(stationary_distribution(self.P), (S, 1))
        kind = np.result_type(np.asarray(keep), mean)
        made = np.zeros((S, size**2, S, size**2), kind)
        for s in range(S):
            drawn = np.zeros((size, size))
            drawn[1:, 0] = self.step * self.phi[s]
            for t in range(S):
                moved = np.eye(size, dtype=kind)
                moved[1:, 1:] *= keep
                moved[1:, 1:] += self.step * np.outer(self.phi[s], self.gamma * self.phi[t] - self.phi[s])
                both = (np.kron(moved, moved.conj()) + square[s, t] * np.kron(drawn, drawn)
                        + mean[s, t].conj() * np.kron(moved, drawn) + mean[s, t] * np.kron(drawn, moved.conj()))
                made[:, :, s] += self.P[s, t] * after[t][:, None, None] * both
        return made.reshape(S * size**2, -1)

    def start(self, x: np.ndarray, first: np.ndarray) -> np.ndarray:
        """The moments of a given x (K,), with s distributed as `first` (S,)."""
        one = np.append(1.0, x)
        return np.outer(first, np.outer(one, one)).ravel()

    @property
    def measure(self) -> np.ndarray:
        """What of the moments adds up to E ||x||^2."""
        K = self.phi.shape[1]
        return np.tile(np.diag(np.append(0.0, np.ones(K))).ravel(), len(self.P))

    def in_the_long_run(self, recursion: np.ndarray) -> float:
        """lim E ||x||^2."""
        ones = np.tile(np.eye(1, (self.phi.shape[1] + 1)**2)[0], len(self.P))   # P(s_t = s), which add up to 1
        some = self.start(np.zeros(self.phi.shape[1]), np.eye(1, len(self.P))[0])
        moments = np.linalg.solve(np.eye(len(recursion)) - recursion + np.outer(some, ones), some)
        return float((self.measure @ moments).real)

    def course(self, recursion: np.ndarray, start: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(n,) E ||x||^2 before the iterations `times`."""
        values, vectors = np.linalg.eig(recursion)
        parts = (self.measure @ vectors) * np.linalg.solve(vectors, start.astype(complex))
        return (values[None] ** np.asarray(times)[:, None] @ parts).real


def mean_of_agents(critics: StandingCritics, reward: np.ndarray,
                   variance: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """rho's mean and mean square (S, S') for the agents' mean, from those of the mean reward.

    Args:
        reward: (S, S') E[r-bar | s, s'].
        variance: of r-bar given s, s'.
    """
    mean = reward + critics.difference(critics.fixed_point(reward))
    return mean, mean**2 + variance
