"""How fast averaging mixes: products of weight matrices against the exact average J = 11'/N."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from netac.topology.bounds import Bounds

TARGET = 1e-6
"""The disagreement, relative to the start, that numbers of rounds speak of."""
DENSE = 0.1
"""Share of entries stored from which a product with the dense matrix is the faster one."""
FEW = 100
"""Agents up to which products are formed as they are, without a look at what is left in few dimensions."""
MOST_SQUARINGS = 60
"""Of a period's product, to find its spectral radius: 2^60 periods."""
LOG_TARGET = math.log(TARGET) + 1e-9
"""Its logarithm, so that a norm that is the target but for rounding has reached it."""
_STAYS = 1e-12                               # factors of disagreement so near to 1 are 1
_SETTLED = 1e-10                             # relative change of log radius in a squaring at which it is known

Matrices = Callable[[int], csr_array]
"""t -> W_t."""


@dataclass(frozen=True)
class Mixing:
    """How fast the products of W_0, W_1, ... come near J.

    Args:
        contraction: ||P - J||_2 of the product P = W_{T-1} ... W_0 of the matrices looked at, the second largest
            singular value of P if it is doubly stochastic; infinite where P has no finite numbers any more.
        radius: the largest modulus of the eigenvalues of P - J: the factor of disagreement in T rounds in the long
            run.  None where the matrices looked at are not a whole period, or P is not doubly stochastic.
        rounds: the smallest t for which ||W_{t-1} ... W_0 - J||_2 <= 1e-6: then disagreement is a millionth of its
            start, whatever that was.  None where this is never so, or not within the T matrices that are no period,
            or where bounds leave it open.
        bounds: of the three, which are estimates then; None where they are exact but for rounding.
    """

    contraction: float
    radius: float | None
    rounds: int | None
    bounds: Bounds | None = None


class Product:
    """The product P = W_{t-1} ... W_0 of the matrices given so far, dense (N, N).

    Args:
        agents: N.
        matrices: W_0, W_1, ...; `add` gives further ones.
    """

    def __init__(self, agents: int, matrices: Iterable[csr_array] = ()):
        self.product, self.rounds = np.eye(agents), 0
        self._distance = math.inf
        for W in matrices:
            self.add(W)

    def add(self, W: csr_array) -> None:
        """P becomes W P.  The product is not formed where it changes nothing: W = I, or P is J up to rounding."""
        n = len(self.product)
        self.rounds += 1
        moves = W.nnz > n or (W.data != 1).any()
        if moves and self._distance > n * np.finfo(float).eps:
            with np.errstate(over="ignore", invalid="ignore"):      # weights that are not doubly stochastic may explode
                self.product = _applied(W, self.product)
                self._distance = float(np.linalg.norm(self.deviation))

    @property
    def deviation(self) -> np.ndarray:
        """P - J."""
        return self.product - 1.0 / len(self.product)

    @property
    def averages(self) -> bool:
        """Whether rows and columns of P sum to 1."""
        return all(np.abs(self.product.sum(axis=axis) - 1).max() <= TARGET for axis in (0, 1))


def mixing(product: Product, matrix: Matrices, periodic: bool) -> Mixing:
    """What the product of W_0 ... W_{T-1} says of the sequence.

    Args:
        product: of the matrices looked at.
        matrix: gives them once more.
        periodic: whether they are one whole period.
    """
    if not np.isfinite(product.product).all():
        return Mixing(math.inf, None, None)
    n, T, deviation = len(product.product), product.rounds, _Scaled.of(product.deviation)
    contraction = deviation.norm
    start = _Scaled.of(np.eye(n) - 1.0 / n)
    if n == 1:
        return Mixing(0.0, 0.0 if periodic else None, 0)
    if not periodic:
        return Mixing(contraction, None, None if deviation.exceeds else _first_round(matrix, start, T))
    if not product.averages:
        return Mixing(contraction, None, None)
    if T == 1 and deviation.symmetric:
        return Mixing(contraction, contraction, _powers_needed(contraction))
    first, basis, slow, before = _slow_part(deviation) or (0, None, deviation, start)
    radius = _radius(slow)
    if radius >= 1:
        return Mixing(contraction, radius, None)
    periods, before = _last_exceeding(slow, before)
    if basis is not None:
        before = _Scaled.of(basis @ before.matrix, before.log)
    return Mixing(contraction, radius, (first + periods) * T + _first_round(matrix, before, T))


def spectral_norm(matrix: np.ndarray) -> float:
    """||A||_2 of a dense matrix of finite numbers, by the eigenvalues of A or A'A: faster than an SVD."""
    if np.array_equal(matrix, matrix.T):
        return float(np.abs(np.linalg.eigvalsh(matrix)).max())
    return math.sqrt(max(0.0, float(np.linalg.eigvalsh(matrix.T @ matrix)[-1])))


def spectral_radius(matrix: np.ndarray) -> float:
    """The largest modulus of the eigenvalues of a dense matrix; 1 where it is so up to rounding."""
    return _radius(_Scaled.of(matrix))


def worst_case(matrix: Matrices, agents: int, rounds: Iterable[int]) -> list[float]:
    """||W_{t-1} ... W_0 - J||_2 for every t of increasing `rounds`: the disagreement of the worst start."""
    product, norms = Product(agents), []
    for t in rounds:
        while product.rounds < t:
            product.add(matrix(product.rounds))
        norms.append(spectral_norm(product.deviation) if np.isfinite(product.product).all() else math.inf)
    return norms


@dataclass(frozen=True)
class _Scaled:
    """A matrix, exp(log) A with ||A||_F = 1, so that no product over- or underflows; A = 0 and log = -inf where nothing
    but rounding is left."""

    matrix: np.ndarray
    log: float

    @classmethod
    def of(cls, matrix: np.ndarray, log: float = 0.0) -> _Scaled:
        """exp(log) times a matrix that was computed from numbers of size 1."""
        size = float(np.linalg.norm(matrix))
        if size <= len(matrix) * np.finfo(float).eps:
            return cls(np.zeros_like(matrix), -math.inf)
        return cls(matrix / size, log + math.log(size))

    def __matmul__(self, other: _Scaled) -> _Scaled:
        return _Scaled.of(self.matrix @ other.matrix, self.log + other.log)

    @property
    def symmetric(self) -> bool:
        return np.array_equal(self.matrix, self.matrix.T)

    @property
    def norm(self) -> float:
        """Its spectral norm; 1 where it is so up to rounding."""
        found = math.exp(self.log) * spectral_norm(self.matrix) if self.log > -math.inf else 0.0
        return 1.0 if abs(found - 1) < _STAYS else found

    @property
    def exceeds(self) -> bool:
        """Whether its spectral norm is larger than `TARGET`; its Frobenius norm decides where it can."""
        if self.log <= LOG_TARGET or self.log > LOG_TARGET + math.log(min(self.matrix.shape)) / 2:
            return self.log > LOG_TARGET
        return self.log + math.log(spectral_norm(self.matrix)) > LOG_TARGET


def _applied(W: csr_array, matrix: np.ndarray) -> np.ndarray:
    """W times a dense matrix."""
    return (W.toarray() if W.nnz > DENSE * matrix.size else W) @ matrix


def _powers_needed(factor: float) -> int | None:
    """The smallest k for which factor^k is the target; None if it is never."""
    if factor >= 1:
        return None
    return math.ceil(LOG_TARGET / math.log(factor)) if factor > 0 else 1


def _radius(power: _Scaled) -> float:
    """The spectral radius of A, by Gelfand's formula: log ||A^2k|| - log ||A^k|| over k, for k = 1, 2, 4, ..."""
    if power.symmetric:
        return power.norm
    before, settled = -math.inf, 0
    for doubling in range(MOST_SQUARINGS):
        square = power @ power
        if square.log == -math.inf:
            return 0.0
        now = (square.log - power.log) / 2**doubling
        settled = settled + 1 if abs(now - before) <= _SETTLED * abs(now) + _STAYS / 100 else 0
        if settled == 2:
            break
        before, power = now, square
    return 1.0 if abs(math.expm1(now)) < _STAYS else math.exp(now)


def _slow_part(A: _Scaled) -> tuple[int, np.ndarray, _Scaled, _Scaled] | None:
    """What is left of A^k, for a power k that the target is above, in few dimensions: its singular values are those of
    Q C, and those of A^(k + i) those of Q S^i C.  None where no such power has few dimensions, and for few agents.

    Returns:
        k, Q (N, r) with orthonormal columns, S (r, r), C (r, r).
    """
    power, k, n = A, 1, len(A.matrix)
    directions = np.random.default_rng(0).standard_normal((n, max(FEW // 2, n // 8)))
    while n > FEW and power.exceeds:
        Q = np.linalg.qr(power.matrix @ directions)[0]
        inside = Q.T @ power.matrix
        if np.linalg.norm(power.matrix - Q @ inside) <= n * np.finfo(float).eps:
            C = np.asarray(np.linalg.qr(inside.T, mode="r")).T
            return k, Q, _Scaled.of(Q.T @ A.matrix @ Q, A.log), _Scaled.of(C, power.log)
        power, k = power @ power, 2 * k
    return None


def _last_exceeding(A: _Scaled, start: _Scaled) -> tuple[int, _Scaled]:
    """The largest k for which A^k times `start`, which is above the target, is above it, too; and that product."""
    powers, step, k, held = list[_Scaled](), A, 0, start
    while len(powers) < MOST_SQUARINGS and (further := step @ held).exceeds:
        k, held = k + 2 ** len(powers), further
        powers.append(step)
        step = step @ step
    while powers:
        further = powers.pop() @ held
        if further.exceeds:
            k, held = k + 2 ** len(powers), further
    return k, held


def _first_round(matrix: Matrices, before: _Scaled, rounds: int) -> int:
    """The smallest t for which W_{t-1} ... W_0 times `before` exceeds the target no more, as it does not for `rounds`.

    As no W_t lets the norm grow, halves are ruled out: all in all `rounds` products at most, and log2 as many norms.
    """
    low, high = 0, rounds
    while high - low > 1:
        middle, after = (low + high) // 2, before
        for t in range(low, middle):
            after = _Scaled.of(_applied(matrix(t), after.matrix), after.log)
        if after.exceeds:
            low, before = middle, after
        else:
            high = middle
    return high
