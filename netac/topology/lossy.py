"""Averaging whose messages are lost by chance: the expected matrix, and how fast disagreement shrinks in mean square.

A message of j to i is lost with probability p, independently of all others but, if so wanted, the one of i to j; its
weight goes to i's own entry.  The matrix of a round is then random: W = W_t - sum_e (what e moves), with rows that sum
to 1.  E[W] = p I + (1 - p) W_t.  Disagreement x'(I - J)x shrinks in mean as the operator

    Q -> E[W' Q W] = E[W]' Q E[W] + p (1 - p) sum_e g_e (1_i - 1_j)(1_i - 1_j)',
    g_e = w_ij^2 Q_ii + w_ji^2 Q_jj   (less 2 w_ij w_ji Q_ij where both messages of e = {i, j} are lost together),

does on the symmetric Q with Q 1 = 0: by its spectral radius in the long run (Fagnani and Zampieri 2009, "Average
consensus with packet drop communication").  Where losses are not symmetric W does not keep the average, and what agents
agree on is a random number.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array, eye_array

from netac.topology.bounds import Interval
from netac.topology.connectivity import components, links_of, union
from netac.topology.edges import rows_of
from netac.topology.mixing import LOG_TARGET, Mixing, Product, mixing, spectral_norm

LARGEST_DENSE, LARGEST_SPECTRUM = 300, 2000
"""Agents up to which second moments are computed, N x N, and up to which the expected matrices' products are."""
MOST_WORK, MOST_APPLIED = 5e7, 20_000
"""The operator of a round is applied so often at most to find the number of rounds: N^2 times it, and by itself."""
_DENSE = 0.1
_TINY = 12              # agents up to which the operator's matrix is formed
_ARNOLDI = 1e-10
_REFINED, _REFINEMENTS, _SOLVED = 1e-6, 4, 1e-8      # of the drift: a solution's residual, how many, and at last
_KRYLOV, _RESTARTS = 24, 100


@dataclass(frozen=True)
class Lossy:
    """How averaging fares where messages are lost, over a period of T rounds (or over those looked at).

    Args:
        mean: how fast the products of the expected matrices E[W_t] mix; 1 - its radius is their spectral gap.
        rate: the factor of the mean square disagreement in a period in the long run, between two numbers, which are one
            where it is known; None where no period is.
        rounds: the number of rounds until the root mean square disagreement is 1e-6 of its start, of the worst start,
            between two numbers, which are one where it is known; the second is None where it may never be.
        drift: (mean, worst) variance of what agents agree on, for a start with x'(I - J)x = 1: over starts of
            independent values, and of the worst; 0 where no loss moves the average.  None where it is not computed.
    """

    mean: Mixing
    rate: Interval | None
    rounds: tuple[int, int | None]
    drift: tuple[float, float] | None

    @property
    def gap(self) -> float | None:
        """The spectral gap of the expected matrices' product over a period; None where no period is known."""
        return None if self.mean.radius is None else 1.0 - self.mean.radius


def expected(W: csr_array, p: float) -> csr_array:
    """E[W] = p I + (1 - p) W."""
    scaled = W.copy()
    scaled.data = (1.0 - p) * W.data + np.where(rows_of(W) == W.indices, p, 0.0)
    return scaled


def second_moment(Q: np.ndarray, W: csr_array, p: float, both_ways: bool) -> np.ndarray:
    """E[W' Q W], (N, N), of a round with these weights: x'Q x after it is x'(this)x before it, in mean."""
    return _Round(W, p, both_ways)(Q)


def lossy(matrices: Sequence[csr_array], p: float, both_ways: bool = True, periodic: bool = True) -> Lossy:
    """How averaging with these matrices, doubly stochastic ones, fares where a message is lost with probability p.

    Up to 300 agents the rate and the drift are computed to about ten digits, and the rounds exactly where they are few
    (20,000 among few agents, 550 among 300); else they have bounds.  Among more, the rate of one matrix has bounds, and
    the drift none.

    Args:
        matrices: W_0, W_1, ..., of one period, or as many as are known.
        p: from 0 to 1.
        both_ways: whether both messages of an edge are lost together.
        periodic: whether the matrices are one whole period.
    """
    n, T = matrices[0].shape[0], len(matrices)
    mean = _mean([expected(W, p) for W in matrices], periodic)
    fixed = both_ways and all(_mutual(W) for W in matrices)         # the average
    if n == 1:
        return Lossy(mean, (0.0, 0.0) if periodic else None, (0, 0), (0.0, 0.0))
    if periodic and mean.radius == 1:
        return Lossy(mean, (1.0, 1.0), (1, None), (0.0, 0.0) if fixed else None)
    if n > LARGEST_DENSE:
        return _many(matrices, p, both_ways, periodic, mean, fixed)
    known = {id(W): _Round(W, p, both_ways) for W in matrices}
    period = _Period([known[id(W)] for W in matrices])
    disagreement = np.eye(n) - 1.0 / n
    if not periodic:
        return Lossy(mean, None, _rounds_within(period, disagreement), (0.0, 0.0) if fixed else None)
    rounds, held, norms = _rounds(period, disagreement)
    radius = _radius(period, held)
    low = mean.radius**2 if mean.radius is not None else 0.0
    high = min((norm ** (1.0 / periods) for periods, norm in norms.items()), default=1.0)
    rate = (low, high) if radius is None else (radius, radius)
    if rounds[1] is None:
        fewest = (_powers(rate[0]) - 1) * T + 1 if rate[0] < 1 else 1
        most = _composed(norms)
        rounds = max(rounds[0], fewest), None if most is None else most * T
    return Lossy(mean, rate, rounds, (0.0, 0.0) if fixed else _drift(period) if rate[1] < 1 else None)


class _Round:
    """Q -> E[W' Q W] of one round.

    Args:
        W: its weights.
        p, both_ways: as for `lossy`.
    """

    def __init__(self, W: csr_array, p: float, both_ways: bool):
        self.agents = W.shape[0]
        weights = W.toarray()
        np.fill_diagonal(weights, 0.0)
        self._own = p * (1.0 - p) * weights**2
        self._shared = p * (1.0 - p) * weights * weights.T if both_ways else None
        mean = expected(W, p)
        crowded = W.nnz > _DENSE * self.agents**2
        self._back = mean.toarray().T if crowded else mean.T.tocsr()

    def __call__(self, Q: np.ndarray) -> np.ndarray:
        moved = self._own * Q.diagonal()[:, None]
        if self._shared is not None:
            moved -= self._shared * Q
        moved += moved.T.copy()
        after = (self._back @ (self._back @ Q).T).T - moved
        after[np.diag_indices(self.agents)] += moved.sum(axis=1)
        return after


class _Period:
    """The operator of T rounds, and those of its first ones."""

    def __init__(self, rounds: Sequence[_Round]):
        self.rounds, self.agents = rounds, rounds[0].agents
        self.left = self.most = min(MOST_APPLIED, int(MOST_WORK / self.agents**2))

    def __call__(self, Q: np.ndarray) -> np.ndarray:
        """Q before a period."""
        return self.before(Q, len(self.rounds))

    def before(self, Q: np.ndarray, count: int) -> np.ndarray:
        """Q before the first `count` rounds."""
        for one in reversed(self.rounds[:count]):
            Q = one(Q)
        return Q

    def often(self, Q: np.ndarray, periods: int) -> np.ndarray | None:
        """Q before so many periods; None where that would be more work than is left."""
        if not self.spend(periods * len(self.rounds)):
            return None
        for _ in range(periods):
            Q = self(Q)
        return Q

    def spend(self, rounds: int) -> bool:
        """Whether so many rounds may be computed yet."""
        self.left -= rounds
        return self.left >= 0


def _rounds(period: _Period, start: np.ndarray) -> tuple[tuple[int, int | None], np.ndarray, dict[int, float]]:
    """The first t for which the norm of Q_t, which no round lets grow, is the target's square: periods are doubled,
    and then halved, and so are the rounds of the last one.

    Returns:
        From where to where it may be; Q after the last periods before it that were computed; the norms after numbers of
        periods at which it was above the target.
    """
    T, norms = len(period.rounds), dict[int, float]()
    periods, held, stride, doubling = 0, start, 1, True
    while stride:
        further = period.often(held, stride)
        if further is None:
            return (periods * T + 1, None), held, norms
        if _reached(norm := _norm(further)):
            doubling = False
        else:
            periods, held = periods + stride, further
            norms[periods] = norm
        stride = 2 * stride if doubling else stride // 2
    low, high = 0, T
    while high - low > 1:
        middle = (low + high) // 2
        further = period.often(period.before(start, middle), periods) if period.spend(middle) else None
        if further is None:
            break
        low, high = (low, middle) if _reached(_norm(further)) else (middle, high)
    return (periods * T + low + 1, periods * T + high), held, norms


def _composed(norms: dict[int, float]) -> int | None:
    """Periods after which the norm is at the target for certain, as it is at most the product of those after the parts
    that they are made of; None where no part shrinks it."""
    total, log = 0, 0.0
    for periods, norm in sorted(norms.items(), reverse=True):
        if norm < 1:
            often = math.floor((2 * LOG_TARGET - log) / math.log(norm))
            total, log = total + often * periods, log + often * math.log(norm)
    shrinks = [periods for periods, norm in norms.items() if norm < 1]
    return total + min(shrinks) if shrinks else None


def _rounds_within(period: _Period, start: np.ndarray) -> tuple[int, int | None]:
    """The same among rounds that are no period."""
    low, high, middle = 0, len(period.rounds) + 1, len(period.rounds)
    while high - low > 1 and period.spend(middle):
        low, high = (low, middle) if _reached(_norm(period.before(start, middle))) else (middle, high)
        middle = (low + high) // 2
    return low + 1, high if high <= len(period.rounds) else None


def _radius(period: _Period, near: np.ndarray) -> float | None:
    """The spectral radius of a period's operator on the Q with Q 1 = 0; None where Arnoldi's method does not find it.

    Args:
        near: where to start.
    """
    n = period.agents
    restarts = min(_RESTARTS, 4 * period.most // (_KRYLOV * len(period.rounds)))

    def applied(flat: np.ndarray) -> np.ndarray:
        return _centred(period(_centred(flat.reshape(n, n)))).ravel()

    if n <= _TINY:
        return float(np.abs(np.linalg.eigvals(np.stack([applied(unit) for unit in np.eye(n * n)], axis=1))).max())
    if not restarts:
        return None
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigs
    start = near / np.linalg.norm(near) + 1e-3 / n * np.random.default_rng(0).standard_normal((n, n))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = eigs(LinearOperator((n * n, n * n), matvec=applied, dtype=float), k=1, which="LM",
                         v0=_centred(start).ravel(), ncv=_KRYLOV, maxiter=restarts, tol=_ARNOLDI,
                         return_eigenvectors=False)
        except ArpackError:         # not converged
            return None
    return float(np.abs(found).max())


def _drift(period: _Period) -> tuple[float, float] | None:
    """(mean, worst) variance of what agents agree on: of V = sum_k (what a period adds to the variance of the average,
    k periods ago), which solves V - E[W' V W] = E[W' K W] - K with the square of the average, K = J / n."""
    from scipy.sparse.linalg import LinearOperator, bicgstab
    n = period.agents
    average = np.full((n, n), 1.0 / n**2)
    added = _centred(period(average) - average)
    size = float(np.linalg.norm(added))
    if size <= 1e-15 / n:
        return 0.0, 0.0

    def residual(flat: np.ndarray) -> np.ndarray:
        V = flat.reshape(n, n)
        return (V - _centred(period(V))).ravel()

    V, left = np.zeros(n * n), added.ravel()
    operator = LinearOperator((n * n, n * n), matvec=residual, dtype=float)
    for _ in range(_REFINEMENTS):
        V = V + bicgstab(operator, left, rtol=_REFINED, maxiter=max(1, period.most // len(period.rounds)))[0]
        left = added.ravel() - residual(V)
        if np.linalg.norm(left) <= _REFINED**2 * size:
            break
    if not np.linalg.norm(left) <= _SOLVED * size:
        return None
    V = V.reshape(n, n)
    return float(np.trace(V)) / (n - 1), float(np.linalg.eigvalsh(_symmetric(V))[-1])


def _many(matrices: Sequence[csr_array], p: float, both_ways: bool, periodic: bool, mean: Mixing,
          fixed: bool) -> Lossy:
    """Bounds for many agents: the mean square shrinks no faster than the square of the mean, and of one matrix in every
    round by the largest eigenvalue of E[W'(I - J)W] at most."""
    low, high = mean.radius**2 if mean.radius is not None else 0.0, 1.0
    if periodic and len(matrices) == 1:
        high = max(low, 1.0 - _loss_of_a_round(matrices[0], p, both_ways))
    fewest = mean.bounds.rounds[0] if mean.bounds else mean.rounds or 1
    return Lossy(mean, (low, high) if periodic else None, (fewest, _powers(high) if high < 1 else None),
                 (0.0, 0.0) if fixed else None)


def _loss_of_a_round(W: csr_array, p: float, both_ways: bool) -> float:
    """1 - the largest eigenvalue of E[W'(I - J)W], or less."""
    from netac.topology.spectrum import smallest
    n, rows, mean = W.shape[0], rows_of(W), expected(W, p)
    back, squares = mean.T.tocsr(), W.copy()
    squares.data = np.where(rows == W.indices, 0.0, W.data**2) * (p * (1 - p) * (1 - 1 / n))
    if both_ways:
        products = (W * W.T).tocsr()
        products.setdiag(0.0)
        squares = squares + products * (p * (1 - p) / n)
    squares = (squares + squares.T).tocsr()
    laplacian = (diags_array(squares.sum(axis=1)) - squares).tocsr()

    def applied(x: np.ndarray) -> np.ndarray:
        after = mean @ x
        return x - back @ (after - after.mean()) - laplacian @ x

    return smallest(applied, n, lambda: (eye_array(n) - back @ mean - laplacian).tocsr()).low


def _mean(matrices: list[csr_array], periodic: bool) -> Mixing:
    """How fast the products of the expected matrices mix."""
    n = matrices[0].shape[0]
    if n <= LARGEST_SPECTRUM:
        return mixing(Product(n, matrices), lambda t: matrices[t % len(matrices)], periodic)
    from netac.topology.large import Factors, large_mixing
    codes = union([links_of(W, rows_of(W)) for W in matrices])
    return large_mixing(Factors(n, matrices), periodic, components(codes, n)[0] == 1)


def _mutual(W: csr_array) -> bool:
    """Whether W is symmetric."""
    return (W != W.T).nnz == 0


def _reached(mean_square: float) -> bool:
    """Whether its root is the target or less."""
    return mean_square <= 0 or math.log(mean_square) <= 2 * LOG_TARGET


def _powers(mean_square: float) -> int:
    """The smallest k >= 1 for which mean_square^k, which is below 1, is the target's square."""
    return max(1, math.ceil(2 * LOG_TARGET / math.log(mean_square))) if mean_square > 0 else 1


def _centred(Q: np.ndarray) -> np.ndarray:
    """(I - J) Q (I - J)."""
    return Q - Q.mean(axis=0) - Q.mean(axis=1)[:, None] + Q.mean()


def _norm(Q: np.ndarray) -> float:
    """The largest eigenvalue of a positive semidefinite Q."""
    return spectral_norm(_symmetric(Q))


def _symmetric(Q: np.ndarray) -> np.ndarray:
    return (Q + Q.T) / 2
