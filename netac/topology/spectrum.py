"""The smallest eigenvalue of a large sparse symmetric matrix on what adds up to 0, with a bound of its error.

Lanczos (1950) with full length recurrences and no restarts finds it where few eigenvalues are near it.  Where they are
many, as on a long ring, an incomplete factorisation of the matrix is nearly exact, and Davidson's method (1975) with it
as a preconditioner does.  Either way the Rayleigh quotient is never below the eigenvalue, and its residual says how
near an eigenvalue is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.sparse import csr_array, eye_array
from scipy.sparse.csgraph import reverse_cuthill_mckee
from scipy.sparse.linalg import LinearOperator, spilu, splu

TOLERANCE = 1e-6
"""Residual, relative to the eigenvalue, at which it is found."""
_SYMMETRIC = {"SymmetricMode": True}
ARNOLDI = 1e-9
"""Tolerance of `largest_modulus`."""
_EPS = float(np.finfo(float).eps)
_ROUNDED_LANCZOS, _ROUNDED_DAVIDSON = 64 * _EPS, 4 * _EPS      # what errors are not below, as the products are rounded
_FIRST_LOOK, _LONGEST = 30, 3000         # Lanczos: products before it is looked at, and at most
_SLOWLY, _HOPELESS = 300, 3              # it ends early if after so many the residual is above so many times the value
_BASIS, _KEPT = 24, 8                    # Davidson: vectors at most, and after a restart
_LADDER = ((0.03, 4, 120), (0.003, 10, 240))      # entries dropped below, fill at most, expansions
_WHOLE, _EXPANSIONS = 2e7, 60            # entries within the profile up to which a factorisation drops none

Apply = Callable[[np.ndarray], np.ndarray]
"""x -> A x."""


@dataclass(frozen=True)
class Eigenvalue:
    """The smallest eigenvalue as far as it was found: it is between `low` and `high`.

    Args:
        high: the Rayleigh quotient, an upper bound.
        residual: ||A v - high v|| of its unit vector v; so near to `high` is an eigenvalue.
        how: in words how it was computed.
        rounding: what the residual cannot be below.
    """

    high: float
    residual: float
    how: str
    rounding: float

    @property
    def low(self) -> float:
        """The eigenvalue less what it may be wrong by, at least 0."""
        return max(0.0, self.high - self.residual)

    @property
    def found(self) -> bool:
        """Whether it and its distance from 1 are known to `TOLERANCE`, or as well as rounding allows."""
        return self.residual <= max(TOLERANCE * min(self.high, abs(1 - self.high)), self.rounding)


def smallest(apply: Apply, n: int, explicit: Callable[[], csr_array | None]) -> Eigenvalue:
    """The smallest eigenvalue of a positive semidefinite A with ||A|| <= 2 and A 1 = c 1, on the vectors that add up
    to 0; always the same for the same A.

    Args:
        apply: x -> A x.
        n: rows of A, at least 2.
        explicit: gives A itself, sparse, if it has to be factorised; None where it is too large for that.
    """
    best = _lanczos(apply, n)
    if best.found or (A := explicit()) is None:
        return best
    return min(best, _davidson(A), key=lambda found: (not found.found, found.high))


def _start(n: int) -> np.ndarray:
    """A random vector of length 1 that adds up to 0."""
    return _unit(np.random.default_rng(0).standard_normal(n))


def _unit(x: np.ndarray) -> np.ndarray:
    """What adds up to 0 of a vector, of length 1."""
    x = x - x.mean()
    return x / np.linalg.norm(x)


def _lanczos(apply: Apply, n: int) -> Eigenvalue:
    """Lanczos without reorthogonalisation: vectors lose their orthogonality, the extreme Ritz values do not suffer."""
    diagonal, beside = list[float](), list[float]()
    v, before, look = _start(n), np.zeros(n), min(_FIRST_LOOK, n - 1)
    while True:
        w = apply(v) - (beside[-1] * before if beside else 0.0)
        diagonal.append(float(v @ w))
        w -= diagonal[-1] * v
        w -= w.mean()
        length, k = float(np.linalg.norm(w)), len(diagonal)
        if k >= look or length <= _ROUNDED_LANCZOS:
            values, vectors = eigh_tridiagonal(diagonal, beside, select="i", select_range=(0, 0))
            found = Eigenvalue(max(0.0, float(values[0])), max(length * abs(float(vectors[-1, 0])), _ROUNDED_LANCZOS),
                               f"Lanczos, {k:,} products", _ROUNDED_LANCZOS)
            hopeless = k >= _SLOWLY and found.residual > _HOPELESS * found.high
            if found.found or hopeless or k >= _LONGEST or length <= _ROUNDED_LANCZOS:
                return found
            look = max(look + 1, min(int(1.3 * look), _LONGEST))
        beside.append(length)
        before, v = v, w / length


def _davidson(A: csr_array) -> Eigenvalue:
    """Davidson's method, preconditioned by incomplete factorisations, a coarse one first.

    The order of Cuthill and McKee lets little fill in on rings, trees and grids, and costs nothing on other graphs.
    """
    n, order = A.shape[0], reverse_cuthill_mckee(A, symmetric_mode=True)
    A = A[order][:, order]
    shifted = (A + 0.1 / n**2 * eye_array(n)).tocsc()
    basis = np.empty((2, min(_BASIS, n - 1), n))        # V and A V
    size, products, found, x = 0, 0, Eigenvalue(np.inf, np.inf, "", _ROUNDED_DAVIDSON), _start(n)
    for solve, expansions in _preconditioners(shifted):
        step = solve(x)
        for _ in range(expansions):
            v = _beside(basis[0, :size], step)
            if v is None:
                return found
            basis[:, size] = v, A @ v
            size, products = size + 1, products + 1
            V, AV = basis[:, :size]
            values, vectors = np.linalg.eigh(_symmetric(V @ AV.T))
            x, Ax = vectors[:, 0] @ V, vectors[:, 0] @ AV
            residual = Ax - values[0] * x
            length = max(float(np.linalg.norm(residual)), _ROUNDED_DAVIDSON)
            found = Eigenvalue(max(0.0, float(values[0])), length, f"Davidson, {products:,} products",
                               _ROUNDED_DAVIDSON)
            if found.found or size == n - 1:
                return found
            if size == len(basis[0]):
                size = min(_KEPT, size - 1)
                basis[:, :size] = vectors[:, :size].T @ V, vectors[:, :size].T @ AV
            step = solve(residual)
    return found


def _preconditioners(shifted: csr_array) -> Iterator[tuple[Apply, int]]:
    """x -> about A^-1 x, and how many expansions it is worth."""
    rows = np.repeat(np.arange(shifted.shape[0]), np.diff(shifted.indptr))
    profile = np.maximum.reduceat(rows - shifted.indices, shifted.indptr[:-1]).sum()     # symmetric: either half
    if profile <= _WHOLE:
        yield splu(shifted, permc_spec="NATURAL", diag_pivot_thresh=0.0, options=_SYMMETRIC).solve, _EXPANSIONS
        return
    for drop, fill, expansions in _LADDER:
        try:
            factors = spilu(shifted, drop_tol=drop, fill_factor=fill, permc_spec="NATURAL", diag_pivot_thresh=0.0,
                            options=_SYMMETRIC)
        except RuntimeError:        # a pivot that is 0
            continue
        yield factors.solve, expansions


def _beside(V: np.ndarray, step: np.ndarray) -> np.ndarray | None:
    """The direction of `step` that is orthogonal to 1 and to the rows of V; None where there is none."""
    if not np.isfinite(step).all():
        return None
    for _ in range(2):
        step = step - step.mean()
        step = step - (V @ step) @ V
        length = float(np.linalg.norm(step))
        if not length:
            return None
        step = step / length
    return step


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2


def largest_modulus(apply: Apply, n: int) -> float | None:
    """The largest modulus of the eigenvalues of a matrix that need not be symmetric, by Arnoldi; None where it is not
    found."""
    from scipy.sparse.linalg import ArpackError, eigs
    if n < 25:
        return float(np.abs(np.linalg.eigvals(np.stack([apply(column) for column in np.eye(n)], axis=1))).max())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            values = eigs(LinearOperator((n, n), matvec=apply, dtype=float), k=4, which="LM", v0=_start(n),
                          ncv=min(n - 1, 40), maxiter=60, tol=ARNOLDI, return_eigenvectors=False)
        except ArpackError:         # not converged
            return None
    return float(np.abs(values).max())
