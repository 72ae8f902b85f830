"""What random linear mixing does to second moments: exact for a few agents.

Agents hold x (n,), and a round makes it A x, with A 1 = 1 drawn anew each time.  Y = E[x x'] then becomes E[A Y A'], a
linear map M of symmetric matrices, and the mean square of the disagreement, E ||x - mean x||^2 = tr(C Y C) with C =
I - 11'/n, falls in the long run by the spectral radius of Y -> C M(Y) C.  With W symmetric and doubly stochastic, of
weights w_ij, and u_ij = E (x_i - x_j)^2, A being

* W of which messages are lost with probability p = 1 - q, the receiver's own value standing for them:
  M(Y) = V Y V + p q N, V = I - q (I - W), where N is diag(sum_j w_ij^2 u_ij) if each message is lost by itself, and
  the Laplacian with weights w_ij^2 u_ij if the two messages of an edge are lost together (E[W^2] = M(I));
* one agent's row of W and all others as they are, i with probability p_i: with R = W - I, P = diag(p),
  M(Y) = Y + P R Y + Y R' P + P diag(R Y R');
* W with messages of now or, each with probability 1/2, of the round before: on (x(t), x(t - 1)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eig, eigh

Moments = Callable[[np.ndarray], np.ndarray]
"""E[x x'] before a round -> after it, (k, k) symmetric."""
MET = 1e-7              # what is less is 0 but for rounding


@dataclass(frozen=True, eq=False)
class Losses:
    """Mixing by symmetric W, of which messages are lost.

    Attributes:
        W: (n, n).
        p: probability of a loss.
        both_ways: whether the two messages of an edge are lost together.
    """

    W: np.ndarray
    p: float
    both_ways: bool

    def moments(self, Y: np.ndarray) -> np.ndarray:
        """M(Y)."""
        V = self.mean
        noise = self.p * (1.0 - self.p) * self._squares * apart(Y)
        return V @ Y @ V + np.diag(noise.sum(axis=1)) - self.both_ways * noise

    @property
    def mean(self) -> np.ndarray:
        """V = E[A]."""
        n = len(self.W)
        return np.eye(n) - (1.0 - self.p) * (np.eye(n) - self.W)

    @property
    def _squares(self) -> np.ndarray:
        """(n, n) w_ij^2, 0 on the diagonal."""
        return np.square(self.W - np.diag(np.diag(self.W)))

    @property
    def drift(self) -> np.ndarray:
        """(n, n) Q: one round moves the agents' mean by 0 on average, and by tr(Q Y) in the mean square.

        0 where losses are of both ways; else (2 p q / n^2) L, L the Laplacian with weights w_ij^2, since the mean moves
        by (1/n) sum over messages of B_ij w_ij (x_j - x_i), B_ij being independent of variance p q.
        """
        if self.both_ways:
            return np.zeros_like(self.W)
        return 2.0 * self.p * (1.0 - self.p) / len(self.W)**2 * laplacian(self._squares)

    @property
    def worst(self) -> tuple[float, np.ndarray]:
        """By what one round shrinks E ||x - mean x||^2 at most, and the x (n,) of which it is so: the largest
        eigenvalue of E[A' C A] = V^2 + 2 p q L - n Q, L as in `drift`, off the mean."""
        L = 2.0 * self.p * (1.0 - self.p) * laplacian(self._squares)
        values, vectors = np.linalg.eigh(centred(self.mean @ self.mean + L - len(self.W) * self.drift))
        return float(values[-1]), vectors[:, -1]

    def drift_bound(self, squares: float) -> float:
        """What the variance of the mean's drift over all rounds is at most, of x with ||x - mean x||^2 = `squares`.

        With D = I - E[A' C A] a round lowers E ||x - mean x||^2 by E x' D x >= kappa E x' Q x, where kappa is the least
        of x' D x / x' Q x off the mean; so the drifts, which are uncorrelated, add up to at most squares / kappa.
        """
        n = len(self.W)
        if not self.drift.any():
            return 0.0
        L = 2.0 * self.p * (1.0 - self.p) * laplacian(self._squares)
        basis = off_mean_basis(n)
        D, Q = (basis.T @ form @ basis for form in (np.eye(n) - self.mean @ self.mean - L + n * self.drift, self.drift))
        return squares * float(eigh(Q, D, eigvals_only=True)[-1])


@dataclass(frozen=True, eq=False)
class OneActs:
    """One agent i at a time, drawn with probability p_i, replaces its value by (W x)_i.

    Attributes:
        W: (n, n).
        p: (n,).
    """

    W: np.ndarray
    p: np.ndarray

    def moments(self, Y: np.ndarray) -> np.ndarray:
        """M(Y)."""
        R = self.W - np.eye(len(self.W))
        step = self.p[:, None] * (R @ Y)
        return Y + step + step.T + np.diag(self.p * np.vecdot(R @ Y, R))

    @property
    def limit(self) -> np.ndarray:
        """(n,) pi with E[lim x_i] = pi' x, proportional to 1 / p_i: pi' P (W - I) = 0 for doubly stochastic W."""
        return 1.0 / self.p / (1.0 / self.p).sum()

    @property
    def drift(self) -> np.ndarray:
        """(n, n) Q: an event moves pi' x by 0 on average, and by tr(Q Y) in the mean square.

        That is E sum_i p_i pi_i^2 (R x)_i^2.
        """
        R = self.W - np.eye(len(self.W))
        return R.T @ ((self.p * self.limit**2)[:, None] * R)


def late_or_not(W: np.ndarray) -> Moments:
    """M on (x(t), x(t - 1)), of messages that are of now or of the round before, each with probability 1/2."""
    n = len(W)
    own = np.diag(np.diag(W))
    others, none = W - own, np.zeros_like(W)
    mean = np.block([[own + 0.5 * others, 0.5 * others], [np.eye(n), none]])

    def moments(Z: np.ndarray) -> np.ndarray:
        moved = Z[:n, :n].diagonal() + Z[n:, n:].diagonal() - 2.0 * Z[:n, n:].diagonal()      # E (x_j(t) - x_j(t-1))^2
        after = mean @ Z @ mean.T
        after[:n, :n] += np.diag(0.25 * others**2 @ moved)
        return after

    return moments


def delayed(W: np.ndarray, ages: np.ndarray) -> np.ndarray:
    """The augmented matrix of x(t+1)_i = W_ii x_i(t) + sum_j W_ij sum_a ages_a x_j(t - a), on (x(t), ..., x(t - d)).

    Args:
        ages: (d + 1,) which sum to 1; of a fixed delay d all but the last are 0.
    """
    n, d = len(W), len(ages) - 1
    own = np.diag(np.diag(W))
    made = np.eye((d + 1) * n, k=-n)
    made[:n] = np.concatenate([age * (W - own) for age in ages], axis=1)
    made[:n, :n] += own
    return made


def ages_of(most: int) -> np.ndarray:
    """(most + 1,) how old the newest message is that has come, if delays are uniform over 0, ..., most.

    It is older than a if none of the last a + 1 has come: with the probability prod over b <= a of (most - b) / (most +
    1).
    """
    older = np.cumprod((most - np.arange(most + 1)) / (most + 1))
    return -np.diff(older, prepend=1.0)


def limit_of_delay(W: np.ndarray, d: int) -> np.ndarray:
    """(n,) pi with lim x_i = pi' x(0) under a fixed delay d: proportional to 1 + d (1 - W_ii).

    The left eigenvector of the augmented matrix for the eigenvalue 1 has the blocks 1 and d times 1 - diag(W), as W is
    doubly stochastic, and all blocks meet x(0): before anything has come agents stand still.
    """
    weights = 1.0 + d * (1.0 - np.diag(W))
    return weights / weights.sum()


def settling(A: np.ndarray, n: int) -> float:
    """By what a round shrinks the distance of A^k z to its limit in the long run, z being one x (n,) in all its blocks.

    A 1 = 1; the largest modulus of an eigenvalue that is not 1 and whose mode such z take part in, as told by its left
    eigenvector: histories that all agents share alike, as they may swing under delays, do not arise on regular graphs.
    """
    values, left = eig(A, left=True, right=False)
    met = np.linalg.norm(left.reshape(-1, n, len(A)).sum(axis=0), axis=0)
    return float(np.abs(values[(met > MET) & (np.abs(values - 1.0) > MET)]).max())


def as_matrix(moments: Moments, size: int) -> np.ndarray:
    """Y -> C M(Y) C on (size, size) symmetric matrices, as a matrix on their upper triangles; C as in the module."""
    i, j = np.triu_indices(size)
    made = np.empty((len(i), len(i)))
    for k in range(len(i)):
        one = np.zeros((size, size))
        one[i[k], j[k]] = one[j[k], i[k]] = 1.0
        made[:, k] = centred(moments(one))[i, j]
    return made


def upper(Y: np.ndarray) -> np.ndarray:
    """The upper triangle of a symmetric matrix as a vector."""
    return Y[np.triu_indices(len(Y))]


def form(Q: np.ndarray) -> np.ndarray:
    """q with q' upper(Y) = tr(Q Y)."""
    return upper(2.0 * Q - np.diag(np.diag(Q)))


def radius(matrix: np.ndarray) -> float:
    """The largest modulus of an eigenvalue."""
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def course(moments: Moments, Y: np.ndarray, rounds: int, down: float = 0.0) -> np.ndarray:
    """(T + 1,) tr(C Y C) of the first `rounds` rounds, or until it is `down` of the first."""
    found = [np.trace(centred(Y))]
    while len(found) <= rounds and found[-1] > down * found[0]:
        Y = moments(Y)
        found.append(np.trace(centred(Y)))
    return np.array(found)


def centred(Y: np.ndarray) -> np.ndarray:
    """C Y C, without the means of rows and columns."""
    return Y - Y.mean(axis=0) - Y.mean(axis=1, keepdims=True) + Y.mean()


def apart(Y: np.ndarray) -> np.ndarray:
    """(n, n) E (x_i - x_j)^2."""
    own = np.diag(Y)
    return own[:, None] + own - 2.0 * Y


def laplacian(weights: np.ndarray) -> np.ndarray:
    """sum over pairs of w_ij (e_i - e_j)(e_i - e_j)', of symmetric weights."""
    return np.diag(weights.sum(axis=1)) - weights


def off_mean_basis(n: int) -> np.ndarray:
    """(n, n - 1) orthonormal columns of sum 0."""
    return np.linalg.qr(np.eye(n) - 1.0 / n)[0][:, :n - 1]
