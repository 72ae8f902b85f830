"""Zeng et al.'s Proposition 1 as two terms, exactly: CAC's critics while policies stand still.

With independent samples of mu_theta the errors of all agents together, omega minus the fixed point of TD(0) and lambda
minus the best model, follow a linear recursion with random coefficients, e' = M e + b, so that their mean and their
second moments follow a linear recursion, too.  The average of E||e||^2 over the iterations t < T is then

    floor       its stationary value, of order beta, because samples differ
    transient   what is left of the start, (1/T) (I - M)^-1 (I - M^T) (start - stationary), of order 1 / (beta T)

for every T, at the price of a matrix power.  Reward features are taken to be one-hot, so that each of their weights is
a recursion of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netac.exact import FiniteMDP, induced_chain, reward_fixed_point, stationary_distribution, td_fixed_point

LARGEST = 40            # value weights of all agents together: their second moments are this squared


@dataclass(frozen=True)
class TwoTerms:
    """E sum_i ||omega_i - omega*||^2 + ||lambda_i - lambda*||^2, averaged over a run.

    Attributes:
        transient, floor: its two terms.
        omega_floor: omega's part of the floor.
    """

    transient: float
    floor: float
    omega_floor: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.transient + self.floor


@dataclass(frozen=True)
class TeamCritics:
    """The critics of a game under standing policies.

    Args:
        mdp, pi: the game, and the agents' policies (N, S, A).
        phi, psi: features (S, K) and, one-hot in each row, (S J, L).
        W: (N, N) weights of the agents.
    """

    mdp: FiniteMDP
    pi: np.ndarray
    phi: np.ndarray
    psi: np.ndarray
    W: np.ndarray

    @property
    def small(self) -> bool:
        """Whether the two terms take little time."""
        return self.mdp.agents * self.phi.shape[1] <= LARGEST

    def averaged(self, beta: float, zeta: float, T: int) -> TwoTerms:
        """The two terms over T iterations from omega = lambda = 0 with constant steps."""
        mdp, chain = self.mdp, induced_chain(self.mdp, self.pi)
        pairs = stationary_distribution(chain.transition)[:, None] * chain.joint
        omega = td_fixed_point(mdp, self.pi, self.phi)
        s, j, t = (index.ravel() for index in np.indices(mdp.P.shape))
        p = (pairs[:, :, None] * mdp.P).ravel()
        s, j, t, p = (each[p > 0] for each in (s, j, t, p))
        change = mdp.gamma * self.phi[t] - self.phi[s]
        residual = mdp.r[s, j] + (change @ omega)[:, None]                                          # (samples, N)
        terms = [_averaged(self.W, self.phi[s], change, residual, p, beta, T, -omega)]
        lam, weights = reward_fixed_point(mdp, self.pi, self.psi), pairs.ravel()
        for k in range(self.psi.shape[1]):
            hit = self.psi[:, k, None]
            residual = (mdp.r.reshape(-1, mdp.agents) - lam[k]) * hit
            terms.append(_averaged(self.W, hit, -hit, residual, weights, zeta, T, -lam[k:k + 1]))
        transient, floor = np.sum(terms, axis=0)
        return TwoTerms(float(transient), float(floor), terms[0][1])


def _averaged(W: np.ndarray, feature: np.ndarray, change: np.ndarray, residual: np.ndarray, p: np.ndarray, step: float,
              T: int, start: np.ndarray) -> tuple[float, float]:
    """Transient and floor of e_i' = sum_j W_ij e_j + step f (residual_i + c'e_i), (f, c, residual) drawn with chance p.

    Args:
        W: (N, N).
        feature, change, residual, p: (samples, K), (samples, K), (samples, N), (samples,).
        start: (K,) e_i of all agents at first.
    """
    N, K = len(W), feature.shape[1]
    mix, one = np.kron(W, np.eye(K)), np.eye(N)
    slope = np.einsum("m,mk,ml->kl", p, feature, change)                                            # E[f c']
    drift, size = np.kron(one, slope), N * K
    square = np.einsum("m,mk,ml,mu,mv->kulv", p, feature, change, feature, change)                  # E[fc' (x) fc']
    noise = np.einsum("m,mn,mk->nk", p, residual, feature).ravel()
    # second moments X of all agents' errors: E[(mix + step D) X (mix + step D)'], D = 1 (x) f c' of the same sample
    moments = np.einsum("ac,bd->abcd", mix, mix) + step * (np.einsum("ac,bd->abcd", mix, drift)
                                                          + np.einsum("ac,bd->abcd", drift, mix))
    moments += step**2 * np.einsum("ac,bd,kulv->akbucldv", one, one, square).reshape(
        size, size, size, size)
    with_mean = np.einsum("ac,b->abc", mix, noise) * step
    with_mean += step**2 * np.einsum("m,ac,mk,ml,mn,mu->aknucl", p, one, feature, change, residual, feature,
                                     optimize=True).reshape(size, size, size)
    with_mean += with_mean.transpose(1, 0, 2)
    noisy = step**2 * np.einsum("m,mn,mk,mo,mu->nkou", p, residual, feature, residual, feature, optimize=True)
    M = np.zeros((size + size**2, size + size**2))
    M[:size, :size] = mix + step * drift
    M[size:, :size], M[size:, size:] = with_mean.reshape(size**2, size), moments.reshape(size**2, size**2)
    constant = np.concatenate([step * noise, noisy.ravel()])
    rest = np.eye(len(M)) - M
    first = np.tile(start, N)
    stationary = np.linalg.solve(rest, constant)
    left = np.concatenate([first, np.outer(first, first).ravel()]) - stationary
    summed = np.linalg.solve(rest, left - np.linalg.matrix_power(M, T) @ left)
    return float(np.trace(summed[size:].reshape(size, size))) / T, float(np.trace(
        stationary[size:].reshape(size, size)))
